/** Deleting a tenant: everything stops at once, its TURN keys go upstream, and when nothing is left, so does its storage. */
import { BrokerError, unwrap } from '../../errors.ts'
import type { Call } from '../../rpc/calls.ts'
import type { JobOutcome } from '../../storage/jobs.ts'
import { deleteAllApiTokens } from '../core/apiTokenRows.ts'
import { publishSnapshot, recordChange } from '../core/changes.ts'
import type { TenantContext } from '../core/context.ts'
import { tenantRecord } from '../core/tenantRow.ts'
import { transitionInTransaction } from '../provisioning/apply.ts'
import { publishKey } from '../turnKeys/cacheEntry.ts'
import { unfinishedKeys, visibleKeys } from '../turnKeys/rows.ts'

export const DELETION_JOB = 'delete-tenant'
const LOOK_AGAIN_MS = 15_000

/** Idempotent. Doubtful creations are settled first, so that nothing stays upstream: that can take a day. */
export async function beginDeletion(ctx: TenantContext, call: Call & { readonly cascade: boolean }): Promise<void> {
  if (tenantRecord(ctx).status === 'deleting') return
  const removed = ctx.transact(() => {
    const keys = visibleKeys(ctx.sql)
    const mayExist = unfinishedKeys(ctx.sql).some((key) => key.state !== 'deleting')
    if (mayExist && !call.cascade) throw new BrokerError('tenant_has_keys')
    for (const key of keys) transitionInTransaction(ctx, key, { kind: 'removal-ordered', inMs: 0 }, call)
    deleteAllApiTokens(ctx.sql)
    ctx.sql.exec("UPDATE tenant SET status = 'deleting'")
    recordChange(ctx, call, 'tenant.delete')
    ctx.jobs.put(DELETION_JOB, '', ctx.now() + 1_000)
    return keys
  })
  await Promise.all([publishSnapshot(ctx), ...removed.map((key) => publishKey(ctx, key.uid))])
}

/** `true` once the Account has only the tombstone left: then the object's storage may go. */
export async function isBuried(ctx: TenantContext): Promise<boolean> {
  if (unfinishedKeys(ctx.sql).length > 0) return false
  unwrap(await ctx.account().markTenantDeleted(tenantRecord(ctx).id))
  return true
}

/** The job stays until the storage is gone with it: a crash in between buries again, which changes nothing. */
export async function deletionJob(ctx: TenantContext, buried: () => void): Promise<JobOutcome> {
  if (await isBuried(ctx)) buried()
  return { againAt: ctx.now() + LOOK_AGAIN_MS }
}
