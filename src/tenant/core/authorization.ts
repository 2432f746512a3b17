/** What a caller's token allows now, read from the Tenant's own rows. The edge may have believed older ones. */
import { actorOf, type Caller } from '../../auth/caller.ts'
import { SCOPES, type Scope } from '../../contract/scopes.ts'
import { sameDigest } from '../../crypto/digest.ts'
import { BrokerError } from '../../errors.ts'
import { digestsOf, findApiToken, scopesOf } from './apiTokenRows.ts'
import { isBanned } from './banRows.ts'
import type { ReadContext } from './context.ts'
import { tenantId } from './tenantRow.ts'

export interface Authority {
  /** For the audit trail. */
  readonly actor: string
  /** Whether a key's secret may be shown to this caller. */
  readonly reveals: boolean
}

/** Throws `invalid_token`, `subject_banned` or `insufficient_scope`. A ban of an API token binds every operation. */
export function authorize(ctx: ReadContext, caller: Caller, scope: Scope): Authority {
  const granted = grantedScopes(ctx, caller)
  if (!granted) throw new BrokerError('invalid_token', { aboutCaller: true })
  if (caller.kind === 'api-token') refuseBannedToken(ctx, caller.id)
  if (!granted.includes(scope)) throw new BrokerError('insufficient_scope', { aboutCaller: true })
  return { actor: actorOf(caller), reveals: granted.includes('turn_keys:reveal') }
}

/** Throws `subject_banned` while this API token is banned; client tokens that it made are bound too. */
export function refuseBannedToken({ sql, now }: ReadContext, tokenId: string): void {
  if (!isBanned(sql, 'token_id', tokenId, now())) return
  throw new BrokerError('subject_banned', { detail: 'The API token behind this request is banned.' })
}

/** An operator may do whatever a tenant's token may, except see a secret. */
const OPERATOR_SCOPES: readonly Scope[] = SCOPES.filter((scope) => scope !== 'turn_keys:reveal')

function grantedScopes(ctx: ReadContext, caller: Caller): readonly Scope[] | undefined {
  if (caller.kind === 'operator') return OPERATOR_SCOPES
  const row = findApiToken(ctx.sql, caller.id)
  if (!row || caller.tenant !== tenantId(ctx)) return
  const now = ctx.now()
  if (row.expires_at !== null && row.expires_at <= now) return
  return digestsOf(row, now).some(({ digest }) => sameDigest(digest, caller.digest)) ? scopesOf(row) : undefined
}
