/**
 * Whether a caller may have a credential, which key mints it and how long it may live: read from the Tenant's own rows.
 * The answer holds in the tick in which it was read; behind an `await` it is read again. Writes nothing.
 */
import { actorOf } from '../../auth/caller.ts'
import { allowsOrigin } from '../../contract/policy/origins.ts'
import type { Policy } from '../../contract/policy/policy.ts'
import { BrokerError, noSuchTurnKey } from '../../errors.ts'
import type { Asker, IssueRequest } from '../../rpc/issuing.ts'
import { findApiToken } from '../core/apiTokenRows.ts'
import { authorize, refuseBannedToken } from '../core/authorization.ts'
import { isBanned } from '../core/banRows.ts'
import type { ReadContext } from '../core/context.ts'
import { requireActive } from '../core/tenantRow.ts'
import { findSubject } from '../ledger/subjects.ts'
import { mintingKey } from '../turnKeys/lineage.ts'
import { type NamedTurnKeyRow, oldestActiveKey } from '../turnKeys/rows.ts'

export interface Eligibility {
  readonly policy: Policy
  readonly epoch: number
  readonly key: NamedTurnKeyRow
  /** For the audit trail. */
  readonly actor: string
  /** Of the stored subject; `null`: the request names none, or one that is not stored. */
  readonly subjectId: string | null
  /** When the stored subject was used last, as it is noted; `null`: as `subjectId`. */
  readonly subjectUsedAt: number | null
  /** The longest life that this asker's credentials may have, and may have left. */
  readonly ttlCeilingSeconds: number
}

/** An eligibility with the life it grants: what a mint starts from. */
export interface Grant extends Eligibility {
  readonly grantedTtlSeconds: number
}

/** Throws the refusal of the token, tenant, issuer, origin, ban or key. */
export function checkEligibility(ctx: ReadContext, request: IssueRequest): Eligibility {
  // The token first: without a good one a caller does not learn in which state the tenant is.
  const actor = actorOfAsker(ctx, request.asker)
  const { policy, epoch } = requireActive(ctx)
  requireIssuer(policy, request.asker)
  checkOrigin(policy, request)
  const stored = request.subject === null ? undefined : findSubject(ctx.sql, request.subject)
  const subjectId = stored?.id ?? null
  refuseBanned(ctx, request.asker, subjectId)
  const maxTtlSeconds = request.asker.kind === 'server' ? policy.maxServerTtl : policy.maxTtl
  const ttlCeilingSeconds = Math.min(maxTtlSeconds, bindingOf(request.asker).credentialTtlSeconds ?? maxTtlSeconds)
  return {
    policy,
    epoch,
    actor,
    subjectId,
    subjectUsedAt: stored?.used_at ?? null,
    ttlCeilingSeconds,
    key: chooseKey(ctx.sql, policy, request),
  }
}

/**
 * The same check behind an `await`, before anything is handed out or minted: token, tenant, issuer, origin, subject or key
 * may be gone since the last one (G6). Throws the refusal.
 */
export const recheckEligibility = (ctx: ReadContext, request: IssueRequest): Eligibility =>
  checkEligibility(ctx, request)

/** A requested ttl is granted or refused with `ttl_too_long`, never changed. */
export function grantTtl(eligibility: Eligibility, { asker, requestedTtlSeconds }: IssueRequest): Grant {
  const { policy, ttlCeilingSeconds } = eligibility
  if (requestedTtlSeconds !== null && requestedTtlSeconds > ttlCeilingSeconds)
    throw new BrokerError('ttl_too_long', { detail: `ttl: must be at most ${ttlCeilingSeconds} seconds` })
  const defaultTtlSeconds = bindingOf(asker).credentialTtlSeconds ?? policy.defaultTtl
  return { ...eligibility, grantedTtlSeconds: requestedTtlSeconds ?? Math.min(defaultTtlSeconds, ttlCeilingSeconds) }
}

export const askerName = (asker: Asker): string => {
  switch (asker.kind) {
    case 'client-token':
      return `client-token:${asker.tokenId}`
    case 'tenant-jwt':
      return `tenant-jwt:${asker.entry.issuer}`
    case 'server':
      return actorOf(asker.caller)
  }
}

/** What a client token binds its holder to; nothing binds the others. */
const bindingOf = (
  asker: Asker,
): { readonly boundOrigin: string | null; readonly credentialTtlSeconds: number | null } =>
  asker.kind === 'client-token' ? asker : { boundOrigin: null, credentialTtlSeconds: null }

function actorOfAsker(ctx: ReadContext, asker: Asker): string {
  if (asker.kind === 'server') return authorize(ctx, asker.caller, 'credentials:issue').actor
  // A client token lives no longer than the API token that made it.
  const tokenId = asker.kind === 'client-token' ? asker.tokenId : null
  if (tokenId !== null && tokenId !== 'operator') {
    const token = findApiToken(ctx.sql, tokenId)
    if (!token || (token.expires_at !== null && token.expires_at <= ctx.now())) throw new BrokerError('invalid_token')
  }
  return askerName(asker)
}

/** The Worker may have verified the JWT by an older policy: with a key, an algorithm or without a claim that counts no more. */
function requireIssuer(policy: Policy, asker: Asker): void {
  if (asker.kind !== 'tenant-jwt') return
  const verifiedBy = JSON.stringify(asker.entry)
  if (!policy.issuers.some((entry) => JSON.stringify(entry) === verifiedBy)) throw new BrokerError('invalid_token')
}

function checkOrigin(policy: Policy, { asker, origin }: IssueRequest): void {
  if (asker.kind === 'server') return
  const { boundOrigin } = bindingOf(asker)
  const missing = origin === null && (policy.requireOrigin || boundOrigin !== null)
  const foreign = origin !== null && !allowsOrigin(policy.allowedOrigins, origin)
  const unbound = origin !== null && boundOrigin !== null && boundOrigin !== origin
  if (missing || foreign || unbound) throw new BrokerError('origin_not_allowed')
}

function refuseBanned(ctx: ReadContext, asker: Asker, subjectId: string | null): void {
  // A server's own API token was checked with its scope.
  if (asker.kind === 'client-token') refuseBannedToken(ctx, asker.tokenId)
  if (subjectId !== null && isBanned(ctx.sql, 'subject_id', subjectId, ctx.now())) {
    throw new BrokerError('subject_banned')
  }
}

function chooseKey(sql: SqlStorage, policy: Policy, request: IssueRequest): NamedTurnKeyRow {
  const chosenUid = request.keyId ?? policy.defaultKeyId
  const key = chosenUid === null ? oldestActiveKey(sql) : mintingKey(sql, chosenUid)
  if (key) return key
  // A server that names a key in the path gets the 404 that Cloudflare would answer.
  if (request.keyId !== null && request.asker.kind === 'server') throw noSuchTurnKey()
  throw new BrokerError('no_turn_key')
}
