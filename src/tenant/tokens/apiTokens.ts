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
import { type ApiTokenRow, countApiTokens, existingApiToken, viewOf } from '../core/apiTokenRows.ts'
import { publish, recordChange } from '../core/changes.ts'
import type { TenantParts } from '../core/context.ts'
import { requireNotDeleting, tenantRecord } from '../core/tenantRow.ts'

/** One page, newest first. */
export function listApiTokens(
  parts: TenantParts,
  page: { readonly before: number | null; readonly limit: number },
): { items: ApiTokenView[]; next: number | null } {
  const rows = parts.sql
    .exec<ApiTokenRow>(
      'SELECT * FROM api_tokens WHERE seq < ? ORDER BY seq DESC LIMIT ?',
      page.before ?? Number.MAX_SAFE_INTEGER,
      page.limit + 1,
    )
    .toArray()
  return paged(rows, page.limit, (row) => viewOf(row, parts.now()))
}

const CREATE_ROUTE = 'api-tokens'

export async function createApiToken(
  parts: TenantParts,
  call: Call & { readonly input: ApiTokenCreate; readonly idempotency: IdempotencyKey | undefined },
): Promise<ApiTokenWithSecret> {
  const { input, idempotency } = call
  const { id: tenant } = tenantRecord(parts)
  const id = newApiTokenId()
  const { token, digest } = await newApiToken(tenant, id)
  parts.transact(() => {
    if (idempotency && parts.idempotency.find(CREATE_ROUTE, idempotency)) throw new BrokerError('secret_not_repeatable')
    requireNotDeleting(parts)
    if (countApiTokens(parts.sql) >= MAX_API_TOKENS) {
      throw new BrokerError('conflict', { detail: `A tenant has at most ${MAX_API_TOKENS} API tokens.` })
    }
    if (typeof input.expiresAt === 'number' && input.expiresAt <= parts.now()) {
      throw new BrokerError('invalid_request', { detail: 'expiresAt: must be in the future' })
    }
    parts.sql.exec(
      'INSERT INTO api_tokens (id, name, scopes, digest, expires_at, created_at) VALUES (?, ?, ?, ?, ?, ?)',
      id,
      input.name,
      JSON.stringify(input.scopes),
      digest,
      input.expiresAt ?? null,
      parts.now(),
    )
    if (idempotency) parts.idempotency.begin(CREATE_ROUTE, idempotency, id)
    recordChange(parts, call, 'api_token.create', id)
  })
  await publish(parts)
  return { ...viewOf(existingApiToken(parts.sql, id), parts.now()), token }
}

export async function rollApiToken(
  parts: TenantParts,
  call: Call & { readonly tokenId: string; readonly overlapSeconds: number },
): Promise<ApiTokenWithSecret> {
  const { tokenId, overlapSeconds } = call
  const { token, digest } = await newApiToken(tenantRecord(parts).id, tokenId)
  parts.transact(() => {
    requireNotDeleting(parts)
    const row = existingApiToken(parts.sql, tokenId)
    parts.sql.exec(
      'UPDATE api_tokens SET digest = ?, previous_digest = ?, previous_until = ?, rolled_at = ? WHERE id = ?',
      digest,
      overlapSeconds > 0 ? row.digest : null,
      overlapSeconds > 0 ? parts.now() + overlapSeconds * 1_000 : null,
      parts.now(),
      tokenId,
    )
    recordChange(parts, call, 'api_token.roll', tokenId)
  })
  await publish(parts)
  return { ...viewOf(existingApiToken(parts.sql, tokenId), parts.now()), token }
}

export async function deleteApiToken(parts: TenantParts, call: Call & { readonly tokenId: string }): Promise<void> {
  parts.transact(() => {
    existingApiToken(parts.sql, call.tokenId)
    parts.sql.exec('DELETE FROM api_tokens WHERE id = ?', call.tokenId)
    recordChange(parts, call, 'api_token.delete', call.tokenId)
  })
  await publish(parts)
}
