/** Deleting a tenant: it stops at once, its TURN keys are removed at Cloudflare, and then its storage is deleted. */
import { BrokerError, unwrap } from '../../errors.ts'
import type { Call } from '../../rpc/calls.ts'
import type { JobOutcome } from '../../storage/jobs.ts'
import { deleteAllApiTokens } from '../core/apiTokenRows.ts'
import { publishSnapshot, recordChange } from '../core/changes.ts'
import type { TenantContext } from '../core/context.ts'
import { markDeleting, tenantId, tenantRecord } from '../core/tenantRow.ts'
import { transitionInTransaction } from '../provisioning/apply.ts'
import { publishKey } from '../turnKeys/cacheEntry.ts'
import { unfinishedKeys, visibleKeys } from '../turnKeys/rows.ts'

export const DELETION_JOB = 'delete-tenant'
const LOOK_AGAIN_MS = 15_000

/** Idempotent. A creation whose outcome is unknown is settled first, so that no key stays at Cloudflare: up to a day. */
export async function beginDeletion(ctx: TenantContext, call: Call & { readonly cascade: boolean }): Promise<void> {
  if (tenantRecord(ctx).status === 'deleting') return
  const removed = ctx.transact(() => {
    const keys = visibleKeys(ctx.sql)
    const mayExist = unfinishedKeys(ctx.sql).some((key) => key.state !== 'deleting')
    if (mayExist && !call.cascade) throw new BrokerError('tenant_has_keys')
    for (const key of keys) transitionInTransaction(ctx, key, { kind: 'removal-ordered', inMs: 0 }, call)
    deleteAllApiTokens(ctx.sql)
    markDeleting(ctx)
    recordChange(ctx, call, 'tenant.delete')
    ctx.jobs.put(DELETION_JOB, '', ctx.now() + 1_000)
    return keys
  })
  await Promise.all([publishSnapshot(ctx), ...removed.map((key) => publishKey(ctx, key.uid))])
}

/** `true` once the Account has only the tombstone left: then the object's storage may be deleted. */
export async function isBuried(ctx: TenantContext): Promise<boolean> {
  if (unfinishedKeys(ctx.sql).length > 0) return false
  unwrap(await ctx.account.markTenantDeleted(tenantId(ctx)))
  return true
}

/** The job row stays until the storage is deleted with it. After a crash in between the Account is asked again: idempotent. */
export async function deletionJob(ctx: TenantContext, buried: () => void): Promise<JobOutcome> {
  if (await isBuried(ctx)) buried()
  return { againAt: ctx.now() + LOOK_AGAIN_MS }
}
