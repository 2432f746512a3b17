/** Listing live credentials, page by page, newest first. */
import type { CredentialView } from '../../contract/resources/credentials.ts'
import type { Call, Page } from '../../rpc/calls.ts'
import { paged } from '../../storage/paging.ts'
import { authorize } from '../core/authorization.ts'
import type { TenantContext } from '../core/context.ts'
import { NOT_TAKEN_BACK } from './bulkRevocations.ts'
import { type CredentialRow, credentialView } from './credentialRows.ts'

export function listCredentials(
  ctx: TenantContext,
  call: Call & Page & { readonly subjectId: string | null; readonly keyId: string | null },
): { items: CredentialView[]; next: number | null } {
  authorize(ctx, call.caller, 'credentials:read')
  const rows = ctx.sql
    .exec<CredentialRow>(
      `SELECT * FROM credentials
       WHERE state = 'live' AND expires_at > ? AND seq < ? AND (? IS NULL OR subject_id = ?) AND (? IS NULL OR key_uid = ?)
         AND ${NOT_TAKEN_BACK}
       ORDER BY seq DESC LIMIT ?`,
      ctx.now(),
      call.before ?? Number.MAX_SAFE_INTEGER,
      call.subjectId,
      call.subjectId,
      call.keyId,
      call.keyId,
      call.limit + 1,
    )
    .toArray()
  return paged(rows, call.limit, credentialView)
}
