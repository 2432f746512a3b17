/** Operators' work on a tenant's API tokens: list, create, roll, delete. The token itself is answered once. */
import { newApiToken, newApiTokenId } from '../../auth/apiTokens.ts'
import {
  type ApiTokenCreate,
  type ApiTokenView,
  type ApiTokenWithSecret,
  MAX_API_TOKENS,
} from '../../contract/resources/apiTokens.ts'
import { BrokerError } from '../../errors.ts'
import type { Call } from '../../rpc/calls.ts'
import type { IdempotencyKey } from '../../storage/idempotency.ts'
import { paged } from '../../storage/paging.ts'
import { type ApiTokenRow, apiTokenView, countApiTokens, existingApiToken } from '../core/apiTokenRows.ts'
import { publishSnapshot, recordChange } from '../core/changes.ts'
import type { TenantContext } from '../core/context.ts'
import { requireNotDeleting, tenantRecord } from '../core/tenantRow.ts'

/** One page, newest first. */
export function listApiTokens(
  ctx: TenantContext,
  page: { readonly before: number | null; readonly limit: number },
): { items: ApiTokenView[]; next: number | null } {
  const rows = ctx.sql
    .exec<ApiTokenRow>(
      'SELECT * FROM api_tokens WHERE seq < ? ORDER BY seq DESC LIMIT ?',
      page.before ?? Number.MAX_SAFE_INTEGER,
      page.limit + 1,
    )
    .toArray()
  return paged(rows, page.limit, (row) => apiTokenView(row, ctx.now()))
}

const CREATE_ROUTE = 'api-tokens'

export async function createApiToken(
  ctx: TenantContext,
  call: Call & { readonly input: ApiTokenCreate; readonly idempotency: IdempotencyKey | undefined },
): Promise<ApiTokenWithSecret> {
  const { input, idempotency } = call
  const { id: tenant } = tenantRecord(ctx)
  const id = newApiTokenId()
  const { token, digest } = await newApiToken(tenant, id)
  ctx.transact(() => {
    if (idempotency && ctx.idempotency.find(CREATE_ROUTE, idempotency)) throw new BrokerError('secret_not_repeatable')
    requireNotDeleting(ctx)
    if (countApiTokens(ctx.sql) >= MAX_API_TOKENS) {
      throw new BrokerError('conflict', { detail: `A tenant has at most ${MAX_API_TOKENS} API tokens.` })
    }
    if (typeof input.expiresAt === 'number' && input.expiresAt <= ctx.now()) {
      throw new BrokerError('invalid_request', { detail: 'expiresAt: must be in the future' })
    }
    ctx.sql.exec(
      'INSERT INTO api_tokens (id, name, scopes, digest, expires_at, created_at) VALUES (?, ?, ?, ?, ?, ?)',
      id,
      input.name,
      JSON.stringify(input.scopes),
      digest,
      input.expiresAt ?? null,
      ctx.now(),
    )
    if (idempotency) ctx.idempotency.begin(CREATE_ROUTE, idempotency, id)
    recordChange(ctx, call, 'api_token.create', id)
  })
  await publishSnapshot(ctx)
  return { ...apiTokenView(existingApiToken(ctx.sql, id), ctx.now()), token }
}

export async function rollApiToken(
  ctx: TenantContext,
  call: Call & { readonly tokenId: string; readonly overlapSeconds: number },
): Promise<ApiTokenWithSecret> {
  const { tokenId, overlapSeconds } = call
  const { token, digest } = await newApiToken(tenantRecord(ctx).id, tokenId)
  ctx.transact(() => {
    requireNotDeleting(ctx)
    const row = existingApiToken(ctx.sql, tokenId)
    ctx.sql.exec(
      'UPDATE api_tokens SET digest = ?, previous_digest = ?, previous_until = ?, rolled_at = ? WHERE id = ?',
      digest,
      overlapSeconds > 0 ? row.digest : null,
      overlapSeconds > 0 ? ctx.now() + overlapSeconds * 1_000 : null,
      ctx.now(),
      tokenId,
    )
    recordChange(ctx, call, 'api_token.roll', tokenId)
  })
  await publishSnapshot(ctx)
  return { ...apiTokenView(existingApiToken(ctx.sql, tokenId), ctx.now()), token }
}

export async function deleteApiToken(ctx: TenantContext, call: Call & { readonly tokenId: string }): Promise<void> {
  ctx.transact(() => {
    existingApiToken(ctx.sql, call.tokenId)
    ctx.sql.exec('DELETE FROM api_tokens WHERE id = ?', call.tokenId)
    recordChange(ctx, call, 'api_token.delete', call.tokenId)
  })
  await publishSnapshot(ctx)
}
