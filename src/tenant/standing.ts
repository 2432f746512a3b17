/**
 * What a mint rests on, read from the Tenant's own rows: asked before anything is done, and again at the commit when
 * the epoch says that something was taken away meanwhile. Writes nothing.
 */
import type { Caller } from '../auth/caller.ts'
import type { ClientToken } from '../auth/clientTokens.ts'
import type { Policy } from '../contract/policy.ts'
import { BrokerError, noSuchTurnKey } from '../errors.ts'
import { findApiToken } from './apiTokenRows.ts'
import { authorize } from './authority.ts'
import type { TenantParts } from './parts.ts'
import { requireActive } from './record.ts'
import { findSubject } from './subjects.ts'
import { activeKey, type NamedTurnKeyRow, oldestActiveKey } from './turnKeyRows.ts'

/** Who asks for a credential. */
export type Asker =
  | { readonly kind: 'client-token'; readonly token: ClientToken }
  | { readonly kind: 'server'; readonly caller: Caller }

export interface IssueRequest {
  readonly requestId: string
  readonly asker: Asker
  /** `null`: a server did not say whom it is for. */
  readonly subject: string | null
  /** Seconds; `null`: not asked. */
  readonly ttl: number | null
  /** The TURN key that must be used; `null`: the policy's choice. */
  readonly keyId: string | null
  readonly origin: string | null
  /** A browser is as well served by a credential it was given before; a server wants its own. */
  readonly reuse: 'allowed' | 'never'
}

export interface Standing {
  readonly policy: Policy
  readonly epoch: number
  readonly key: NamedTurnKeyRow
  /** For the audit trail. */
  readonly actor: string
}

/** Throws the refusal, or answers what the mint may rest on. */
export function standing(parts: TenantParts, request: IssueRequest): Standing {
  // First who asks: how the tenant stands is told to nobody without a token of it.
  const actor = actorOfAsker(parts, request.asker)
  const { policy, epoch } = requireActive(parts)
  if (request.asker.kind === 'client-token') checkOrigin(policy, request.asker.token, request.origin)
  refuseBanned(parts, request)
  return { policy, epoch, actor, key: chooseKey(parts, policy, request) }
}

export const askerName = (asker: Asker): string => {
  if (asker.kind === 'client-token') return `client-token:${asker.token.tokenId}`
  return asker.caller.kind === 'operator' ? `admin:${asker.caller.name}` : `api-token:${asker.caller.id}`
}

function actorOfAsker(parts: TenantParts, asker: Asker): string {
  if (asker.kind === 'server') return authorize(parts, asker.caller, 'credentials:issue').actor
  // A client token lives no longer than the API token that made it.
  const { tokenId } = asker.token
  if (tokenId !== 'operator') {
    const token = findApiToken(parts.sql, tokenId)
    if (!token || (token.expires_at !== null && token.expires_at <= parts.now())) throw new BrokerError('invalid_token')
  }
  return askerName(asker)
}

function checkOrigin(policy: Policy, token: ClientToken, origin: string | null): void {
  const missing = origin === null && (policy.requireOrigin || token.origin !== null)
  const foreign = origin !== null && !policy.allowedOrigins.includes(origin)
  const unbound = origin !== null && token.origin !== null && token.origin !== origin
  if (missing || foreign || unbound) throw new BrokerError('origin_not_allowed')
}

function refuseBanned(parts: TenantParts, { asker, subject }: IssueRequest): void {
  const now = parts.now()
  const tokenId =
    asker.kind === 'client-token' ? asker.token.tokenId : asker.caller.kind === 'api-token' ? asker.caller.id : null
  if (tokenId !== null && isBanned(parts.sql, 'token_id', tokenId, now)) {
    throw new BrokerError('subject_banned', { detail: 'The API token behind this request is banned.' })
  }
  const subjectId = subject === null ? undefined : findSubject(parts.sql, subject)?.id
  if (subjectId !== undefined && isBanned(parts.sql, 'subject_id', subjectId, now))
    throw new BrokerError('subject_banned')
}

const isBanned = (sql: SqlStorage, column: 'subject_id' | 'token_id', id: string, now: number): boolean =>
  sql.exec(`SELECT 1 FROM bans WHERE ${column} = ? AND until > ? AND lifted_at IS NULL LIMIT 1`, id, now).toArray()
    .length > 0

function chooseKey(parts: TenantParts, policy: Policy, request: IssueRequest): NamedTurnKeyRow {
  const named = request.keyId ?? policy.defaultKeyId
  const key = named === null ? oldestActiveKey(parts.sql) : activeKey(parts.sql, named)
  if (key) return key
  // A server that names a key in the path is told, as Cloudflare would, that there is none.
  if (request.keyId !== null && request.asker.kind === 'server') throw noSuchTurnKey()
  throw new BrokerError('no_turn_key')
}

/** The most seconds this asker may have at once. */
export const ttlCeiling = (policy: Policy, { asker }: IssueRequest): number =>
  Math.min(policy.maxTtl, (asker.kind === 'client-token' ? asker.token.credentialTtl : null) ?? policy.maxTtl)

/** Seconds to mint for. A ttl that was asked is given or refused, never changed. */
export function grantedTtl({ policy }: Standing, request: IssueRequest): number {
  const ceiling = ttlCeiling(policy, request)
  const own = request.asker.kind === 'client-token' ? request.asker.token.credentialTtl : null
  if (request.ttl === null) return Math.min(own ?? policy.defaultTtl, ceiling)
  if (request.ttl > ceiling)
    throw new BrokerError('ttl_too_long', { detail: `ttl: must be at most ${ceiling} seconds` })
  return request.ttl
}
