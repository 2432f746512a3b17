/**
 * A tenant whose storage is set back to an earlier time (point-in-time recovery of Durable Objects: 30 days), or was lost
 * and is set up anew. What was taken away since is there again, so the tenant comes back suspended: an operator looks first.
 */
import type { TenantView } from '../contract/tenants.ts'
import { BrokerError } from '../errors.ts'
import * as log from '../storage/log.ts'
import { publish, recordChange } from './changes.ts'
import { describeTenant } from './lifecycle.ts'
import type { Call, TenantParts } from './parts.ts'

/** Its row is gone where the storage was really set back, because it is written just before. */
export const SET_BACK_JOB = 'set-back'
const MARK_KEPT_MS = 600_000

export interface Bookmarks {
  /** Where the storage stood at the wanted time. */
  readonly to: string
  /** Where it stands now: given to the operator, who may want to undo it. */
  readonly undo: string
}

/** Throws `storage_failed` where there is no such time: before the object, longer ago than is kept, or not kept at all. */
export async function bookmarksAt({ storage, now }: TenantParts, at: number): Promise<Bookmarks> {
  if (at > now()) throw new BrokerError('invalid_request', { detail: 'at: must not be in the future' })
  try {
    const to = await storage.getBookmarkForTime(at)
    return { to, undo: await storage.getCurrentBookmark() }
  } catch (error) {
    log.failure('storage_failed', {}, error)
    throw new BrokerError('storage_failed', { detail: 'The storage cannot be set back to that time.' })
  }
}

/** What follows is the object's next start: the caller must end this one. */
export async function orderSetBack(parts: TenantParts, to: string): Promise<void> {
  parts.transact(() => parts.jobs.put(SET_BACK_JOB, '', parts.now() + MARK_KEPT_MS))
  await parts.storage.sync()
  await parts.storage.onNextSessionRestoreBookmark(to)
}

export interface ComingBack {
  /** Absent: the broker itself, after a crash. */
  readonly by?: Call | undefined
  /** The last version that others have heard of. */
  readonly version: number
}

/**
 * Raises the version above all that others know, so that they hear of the tenant again. Throws `storage_failed` where the
 * mark is still there: nothing was set back then.
 */
export async function comeBack(parts: TenantParts, { by, version }: ComingBack): Promise<TenantView> {
  const isBack = parts.transact(() => {
    if (parts.jobs.remove(SET_BACK_JOB, '')) return false
    parts.sql.exec('UPDATE tenant SET version = max(version, ?)', version)
    parts.sql.exec("UPDATE tenant SET status = 'suspended' WHERE status = 'active'")
    recordChange(parts, by, 'tenant.restore')
    return true
  })
  if (!isBack) throw new BrokerError('storage_failed', { detail: 'The storage was not set back.' })
  await publish(parts)
  return describeTenant(parts)
}
