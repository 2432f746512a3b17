/**
 * A tenant whose storage is set back to an earlier time (point-in-time recovery of Durable Objects: 30 days), or was lost
 * and is set up anew. What was taken away since is there again, so the tenant comes back suspended: an operator looks first.
 */
import type { TenantView } from '../../contract/resources/tenants.ts'
import { BrokerError } from '../../errors.ts'
import type { Bookmarks, RestoreFinish } from '../../rpc/restore.ts'
import * as log from '../../storage/log.ts'
import { publishSnapshot, recordChange } from '../core/changes.ts'
import type { TenantContext } from '../core/context.ts'
import { describeTenant } from './tenant.ts'

/** Its row is gone where the storage was really set back, because it is written before that is ordered. */
export const RESTORE_JOB = 'set-back'
const MARK_KEPT_MS = 86_400_000

/**
 * Leaves the mark. Throws `storage_failed` where there is no such time: before the object, longer ago than is kept, or not
 * kept at all.
 */
export async function bookmarksAt(ctx: TenantContext, at: number): Promise<Bookmarks> {
  const { storage } = ctx
  if (at > ctx.now()) throw new BrokerError('invalid_request', { detail: 'at: must not be in the future' })
  try {
    const bookmarks = { to: await storage.getBookmarkForTime(at), undo: await storage.getCurrentBookmark() }
    ctx.transact(() => ctx.jobs.put(RESTORE_JOB, '', ctx.now() + MARK_KEPT_MS))
    await storage.sync()
    return bookmarks
  } catch (error) {
    log.failure('storage_failed', {}, error)
    throw new BrokerError('storage_failed', { detail: 'The storage cannot be set back to that time.' })
  }
}

/** What follows is the object's next start: the caller must end this one. */
export async function scheduleRestore({ storage }: TenantContext, to: string): Promise<void> {
  await storage.onNextSessionRestoreBookmark(to)
}

/**
 * Raises the version above all that others know, so that they hear of the tenant again. `null` where the mark is still
 * there: nothing was set back then, and nothing changes.
 */
export async function finishRestore(ctx: TenantContext, { by, version }: RestoreFinish): Promise<TenantView | null> {
  const isBack = ctx.transact(() => {
    if (ctx.jobs.remove(RESTORE_JOB, '')) return false
    ctx.sql.exec('UPDATE tenant SET version = max(version, ?)', version)
    ctx.sql.exec("UPDATE tenant SET status = 'suspended' WHERE status = 'active'")
    recordChange(ctx, by, 'tenant.restore')
    return true
  })
  if (!isBack) return null
  await publishSnapshot(ctx)
  return describeTenant(ctx)
}
