/** Deleting a tenant: everything stops at once, its TURN keys go upstream, and when nothing is left, so does its storage. */
import { BrokerError, unwrap } from '../../errors.ts'
import type { Call } from '../../rpc/calls.ts'
import type { JobOutcome } from '../../storage/jobs.ts'
import { deleteAllApiTokens } from '../core/apiTokenRows.ts'
import { publish, recordChange } from '../core/changes.ts'
import type { TenantParts } from '../core/context.ts'
import { tenantRecord } from '../core/tenantRow.ts'
import { applyWithin } from '../provisioning/apply.ts'
import { publishKey } from '../turnKeys/cacheEntry.ts'
import { unfinishedKeys, visibleKeys } from '../turnKeys/rows.ts'

export const DELETION_JOB = 'delete-tenant'
const LOOK_AGAIN_MS = 15_000

/** Idempotent. Doubtful creations are settled first, so that nothing stays upstream: that can take a day. */
export async function beginDeletion(parts: TenantParts, call: Call & { readonly cascade: boolean }): Promise<void> {
  if (tenantRecord(parts).status === 'deleting') return
  const removed = parts.transact(() => {
    const keys = visibleKeys(parts.sql)
    const mayExist = unfinishedKeys(parts.sql).some((key) => key.state !== 'deleting')
    if (mayExist && !call.cascade) throw new BrokerError('tenant_has_keys')
    for (const key of keys) applyWithin(parts, key, { kind: 'removal-ordered', inMs: 0 }, call)
    deleteAllApiTokens(parts.sql)
    parts.sql.exec("UPDATE tenant SET status = 'deleting'")
    recordChange(parts, call, 'tenant.delete')
    parts.jobs.put(DELETION_JOB, '', parts.now() + 1_000)
    return keys
  })
  await Promise.all([publish(parts), ...removed.map((key) => publishKey(parts, key.uid))])
}

/** `true` once the Account has only the tombstone left: then the object's storage may go. */
export async function isBuried(parts: TenantParts): Promise<boolean> {
  if (unfinishedKeys(parts.sql).length > 0) return false
  unwrap(await parts.account().buryTenant(tenantRecord(parts).id))
  return true
}

/** The job stays until the storage is gone with it: a crash in between buries again, which changes nothing. */
export async function deletionJob(parts: TenantParts, buried: () => void): Promise<JobOutcome> {
  if (await isBuried(parts)) buried()
  return { againAt: parts.now() + LOOK_AGAIN_MS }
}
