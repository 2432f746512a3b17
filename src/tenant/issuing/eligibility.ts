/**
 * What a mint rests on, read from the Tenant's own rows: asked before anything is done, and again at the commit when
 * the epoch says that something was taken away meanwhile. Writes nothing.
 */
import { actorOf } from '../../auth/caller.ts'
import type { ClientToken } from '../../auth/clientTokens.ts'
import type { TenantJwt } from '../../auth/tenantJwts.ts'
import type { Policy } from '../../contract/policy/policy.ts'
import { BrokerError, noSuchTurnKey } from '../../errors.ts'
import type { Asker, IssueRequest } from '../../rpc/issuing.ts'
import { findApiToken } from '../core/apiTokenRows.ts'
import { authorize } from '../core/authorization.ts'
import { isBanned } from '../core/banRows.ts'
import type { TenantContext } from '../core/context.ts'
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
}

/** Throws the refusal, or answers what the mint may rest on. */
export function checkEligibility(ctx: TenantContext, request: IssueRequest): Eligibility {
  // First who asks: how the tenant stands is told to nobody without a token of it.
  const actor = actorOfAsker(ctx, request.asker)
  const { policy, epoch } = requireActive(ctx)
  if (request.asker.kind === 'tenant-jwt') requireIssuer(policy, request.asker.jwt)
  if (request.asker.kind !== 'server') checkOrigin(policy, request)
  refuseBanned(ctx, request)
  return { policy, epoch, actor, key: chooseKey(ctx, policy, request) }
}

export const askerName = (asker: Asker): string => {
  switch (asker.kind) {
    case 'client-token':
      return `client-token:${asker.token.tokenId}`
    case 'tenant-jwt':
      return `tenant-jwt:${asker.jwt.issuer.issuer}`
    case 'server':
      return actorOf(asker.caller)
  }
}

/** The API token an asker stands on, if it does on one. */
function apiTokenOf(asker: Asker): string | null {
  if (asker.kind === 'client-token') return asker.token.tokenId
  return asker.kind === 'server' && asker.caller.kind === 'api-token' ? asker.caller.id : null
}

/** What a client token binds its holder to. */
const bindingOf = (asker: Asker): Pick<ClientToken, 'origin' | 'credentialTtl'> =>
  asker.kind === 'client-token' ? asker.token : { origin: null, credentialTtl: null }

function actorOfAsker(ctx: TenantContext, asker: Asker): string {
  if (asker.kind === 'server') return authorize(ctx, asker.caller, 'credentials:issue').actor
  // A client token lives no longer than the API token that made it.
  const tokenId = apiTokenOf(asker)
  if (tokenId !== null && tokenId !== 'operator') {
    const token = findApiToken(ctx.sql, tokenId)
    if (!token || (token.expires_at !== null && token.expires_at <= ctx.now())) throw new BrokerError('invalid_token')
  }
  return askerName(asker)
}

/** The edge may have believed an older policy: an issuer that was removed stands behind nobody any more. */
function requireIssuer(policy: Policy, { issuer }: TenantJwt): void {
  const known = policy.issuers.some((it) => it.issuer === issuer.issuer && it.audience === issuer.audience)
  if (!known) throw new BrokerError('invalid_token')
}

function checkOrigin(policy: Policy, { asker, origin }: IssueRequest): void {
  const { origin: bound } = bindingOf(asker)
  const missing = origin === null && (policy.requireOrigin || bound !== null)
  const foreign = origin !== null && !policy.allowedOrigins.includes(origin)
  const unbound = origin !== null && bound !== null && bound !== origin
  if (missing || foreign || unbound) throw new BrokerError('origin_not_allowed')
}

function refuseBanned(ctx: TenantContext, { asker, subject }: IssueRequest): void {
  const now = ctx.now()
  const tokenId = apiTokenOf(asker)
  if (tokenId !== null && isBanned(ctx.sql, 'token_id', tokenId, now)) {
    throw new BrokerError('subject_banned', { detail: 'The API token behind this request is banned.' })
  }
  const subjectId = subject === null ? undefined : findSubject(ctx.sql, subject)?.id
  if (subjectId !== undefined && isBanned(ctx.sql, 'subject_id', subjectId, now))
    throw new BrokerError('subject_banned')
}

function chooseKey(ctx: TenantContext, policy: Policy, request: IssueRequest): NamedTurnKeyRow {
  const named = request.keyId ?? policy.defaultKeyId
  const key = named === null ? oldestActiveKey(ctx.sql) : mintingKey(ctx.sql, named)
  if (key) return key
  // A server that names a key in the path is told, as Cloudflare would, that there is none.
  if (request.keyId !== null && request.asker.kind === 'server') throw noSuchTurnKey()
  throw new BrokerError('no_turn_key')
}

/** The most seconds this asker may have at once. */
export const ttlCeilingSeconds = (policy: Policy, { asker }: IssueRequest): number =>
  Math.min(policy.maxTtl, bindingOf(asker).credentialTtl ?? policy.maxTtl)

/** Seconds to mint for. A ttl that was asked is given or refused, never changed. */
export function grantedTtlSeconds({ policy }: Eligibility, request: IssueRequest): number {
  const ceiling = ttlCeilingSeconds(policy, request)
  const own = bindingOf(request.asker).credentialTtl
  if (request.ttl === null) return Math.min(own ?? policy.defaultTtl, ceiling)
  if (request.ttl > ceiling)
    throw new BrokerError('ttl_too_long', { detail: `ttl: must be at most ${ceiling} seconds` })
  return request.ttl
}
