/**
 * Restoring a tenant: its storage is set back to an earlier time (point-in-time recovery of Durable Objects, 30 days), or
 * was lost and is set up again. Revocations and bans made since are lost, so the tenant comes back suspended. Erasures are not:
 * the Account keeps them, and has them repeated before any caller is answered.
 */
import type { TenantView } from '../../contract/resources/tenants.ts'
import { BrokerError } from '../../errors.ts'
import type { Bookmarks, RestoreFinish } from '../../rpc/restore.ts'
import * as log from '../../storage/log.ts'
import { publishSnapshot, recordChange } from '../core/changes.ts'
import type { TenantContext } from '../core/context.ts'
import { comeBackSuspended } from '../core/tenantRow.ts'
import { erase, reportErasures } from '../ledger/erasures.ts'
import { type RestoreGate, YOUNGEST_RESTORE_MS } from './restoreGate.ts'
import { describeTenant } from './tenant.ts'

/** Marks the storage before the restore is ordered: where the storage was really set back, the mark is gone. */
export const RESTORE_JOB = 'set-back'
const MARK_KEPT_MS = 86_400_000
/** The rest waits for the next request: the route has 12 s. */
const HAND_OVER_MS = 5_000

/**
 * Writes the mark and answers the bookmarks. Throws `storage_failed` where the runtime has no bookmark for that time:
 * before the object existed, longer ago than 30 days, or in a runtime without point-in-time recovery.
 */
export async function bookmarksAt(ctx: TenantContext, at: number): Promise<Bookmarks> {
  const { storage } = ctx
  if (at > ctx.now() - YOUNGEST_RESTORE_MS) {
    throw new BrokerError('invalid_request', { detail: 'at: must be at least a minute ago' })
  }
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

/**
 * Closes the gate, hands over the erasures that the Account does not know yet, and orders the restore: it happens when the object
 * starts the next time, so the caller must abort this one. Throws, with the gate open, where the Account cannot take them.
 */
export async function scheduleRestore(ctx: TenantContext, gate: RestoreGate, to: string): Promise<void> {
  gate.close()
  try {
    const until = ctx.now() + HAND_OVER_MS
    while (await reportErasures(ctx)) if (ctx.now() > until) throw new BrokerError('broker_busy')
    // The call of the Account may have broken, and the Account given up.
    if (!gate.isClosed) throw new BrokerError('storage_failed')
    await ctx.storage.onNextSessionRestoreBookmark(to)
  } catch (error) {
    gate.open()
    throw error
  }
}

/** Repeats erasures in storage that was set back. The Account hears of each again: it keeps them from this time on. */
export function eraseAgain(ctx: TenantContext, subjectIds: readonly string[]): void {
  ctx.transact(() => {
    for (const id of subjectIds) erase(ctx, id, { actor: 'broker' })
  })
}

/**
 * Raises the version above what the Account and the edge know, so that they accept the tenant's reports again. `null`
 * where the mark is still there: the storage was not set back, and nothing changes.
 */
export async function finishRestore(ctx: TenantContext, { by, version }: RestoreFinish): Promise<TenantView | null> {
  const isBack = ctx.transact(() => {
    if (ctx.jobs.remove(RESTORE_JOB, '')) return false
    comeBackSuspended(ctx, version)
    recordChange(ctx, by, 'tenant.restore')
    return true
  })
  if (!isBack) return null
  await publishSnapshot(ctx)
  return describeTenant(ctx)
}
