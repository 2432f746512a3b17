/** What operators do with a tenant's API tokens: list, create, roll, delete. The token itself is answered once. */
import { newApiToken, newApiTokenId } from '../../auth/apiTokens.ts'
import {
  type ApiTokenCreate,
  type ApiTokenView,
  type ApiTokenWithSecret,
  MAX_API_TOKENS,
} from '../../contract/resources/apiTokens.ts'
import { includesRole } from '../../contract/roles.ts'
import type { Scope } from '../../contract/scopes.ts'
import { type CheckKey, openCheckKey, signingKeyOf } from '../../crypto/checkKeys.ts'
import { BrokerError, unwrap } from '../../errors.ts'
import type { Call } from '../../rpc/calls.ts'
import type { IdempotencyKey } from '../../storage/idempotency.ts'
import { paged } from '../../storage/paging.ts'
import {
  apiTokensBefore,
  apiTokenView,
  countApiTokens,
  deleteApiTokenRow,
  existingApiToken,
  insertApiToken,
  replaceDigest,
  scopesOf,
} from '../core/apiTokenRows.ts'
import { publishSnapshot, recordChange } from '../core/changes.ts'
import type { TenantContext } from '../core/context.ts'
import { requireNotDeleting, tenantId } from '../core/tenantRow.ts'

/** One page, newest first. */
export function listApiTokens(
  ctx: TenantContext,
  page: { readonly before: number | null; readonly limit: number },
): { items: ApiTokenView[]; next: number | null } {
  const rows = apiTokensBefore(ctx.sql, page.before, page.limit)
  return paged(rows, page.limit, (row) => apiTokenView(row, ctx.now()))
}

const CREATE_ROUTE = 'api-tokens'

export async function createApiToken(
  ctx: TenantContext,
  call: Call & { readonly input: ApiTokenCreate; readonly idempotency: IdempotencyKey | undefined },
): Promise<ApiTokenWithSecret> {
  const { input, idempotency } = call
  requireMayReveal(call, input.scopes)
  const id = newApiTokenId()
  const { token, digest } = await newApiToken({ tenant: tenantId(ctx), id }, await checkKey(ctx))
  ctx.transact(() => {
    if (idempotency && ctx.idempotency.find(CREATE_ROUTE, idempotency)) throw new BrokerError('secret_not_repeatable')
    requireNotDeleting(ctx)
    if (countApiTokens(ctx.sql) >= MAX_API_TOKENS) {
      throw new BrokerError('conflict', { detail: `A tenant has at most ${MAX_API_TOKENS} API tokens.` })
    }
    if (typeof input.expiresAt === 'number' && input.expiresAt <= ctx.now()) {
      throw new BrokerError('invalid_request', { detail: 'expiresAt: must be in the future' })
    }
    const { name, scopes, expiresAt } = input
    insertApiToken(ctx.sql, { id, name, scopes, digest, expires_at: expiresAt ?? null, created_at: ctx.now() })
    if (idempotency) ctx.idempotency.begin(CREATE_ROUTE, idempotency, id)
    recordChange(ctx, call, 'api_token.create', id)
  })
  // Not waited for: a token that KV does not know yet is the Tenant's to check.
  ctx.waitUntil(publishSnapshot(ctx))
  return { ...apiTokenView(existingApiToken(ctx.sql, id), ctx.now()), token }
}

export async function rollApiToken(
  ctx: TenantContext,
  call: Call & { readonly tokenId: string; readonly overlapSeconds: number },
): Promise<ApiTokenWithSecret> {
  const { tokenId, overlapSeconds } = call
  const { token, digest } = await newApiToken({ tenant: tenantId(ctx), id: tokenId }, await checkKey(ctx))
  ctx.transact(() => {
    requireNotDeleting(ctx)
    const row = existingApiToken(ctx.sql, tokenId)
    requireMayReveal(call, scopesOf(row))
    const now = ctx.now()
    const previousUntil = overlapSeconds > 0 ? now + overlapSeconds * 1_000 : null
    replaceDigest(ctx.sql, row, { digest, previousUntil, now })
    recordChange(ctx, call, 'api_token.roll', tokenId)
  })
  const rolled = apiTokenView(existingApiToken(ctx.sql, tokenId), ctx.now())
  await publishSnapshot(ctx)
  return { ...rolled, token }
}

export async function deleteApiToken(ctx: TenantContext, call: Call & { readonly tokenId: string }): Promise<void> {
  ctx.transact(() => {
    existingApiToken(ctx.sql, call.tokenId)
    deleteApiTokenRow(ctx.sql, call.tokenId)
    recordChange(ctx, call, 'api_token.delete', call.tokenId)
  })
  await publishSnapshot(ctx)
}

/** The secret of such a token takes key secrets out of the broker: of the operators, only an owner may have it. */
function requireMayReveal({ caller }: Call, scopes: readonly Scope[]): void {
  if (caller.kind !== 'operator' || includesRole(caller.role, 'owner') || !scopes.includes('turn_keys:reveal')) return
  throw new BrokerError('role_required', { detail: 'An API token with turn_keys:reveal needs the role owner.' })
}

/** The check key that tokens are made with now. The Account has it; throws its failure, or `misconfigured`. */
async function checkKey(ctx: TenantContext): Promise<CheckKey> {
  const sealed = signingKeyOf(unwrap(await ctx.account.checkKeys()), ctx.now())
  const key = sealed && (await openCheckKey(ctx.config.rootKeys, sealed))
  if (key) return key
  throw new BrokerError('misconfigured', {
    detail:
      'ROOT_KEYS: no root key opens the check key of API tokens; put the missing one back, or replace the check key.',
  })
}
