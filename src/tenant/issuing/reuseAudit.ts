/**
 * Repeats in the audit trail and in the usage: one row for each credential and minute, in the transaction before the credential
 * is handed out again. Further repeats in that minute write nothing: they are counted in memory, and the counts are written with
 * the next row or 5 s later. An object that ends earlier loses the counts of these 5 s, never a row.
 */
import { audit, lastAuditSeq, setAuditCount } from '../../storage/audit.ts'
import type { TenantContext } from '../core/context.ts'
import { countUsage } from '../ledger/usage.ts'

const MINUTE_MS = 60_000
const FLUSH_AFTER_MS = 5_000

export interface Repeat {
  readonly credentialId: string
  readonly actor: string
  readonly subjectId: string | null
  readonly requestId: string
  readonly origin: string | null
}

type ReuseAuditContext = Pick<TenantContext, 'sql' | 'now' | 'memory' | 'transact'>

/** Throws `storage_failed` when the row could not be stored: then nothing may be handed out. */
export function recordRepeat(ctx: ReuseAuditContext, repeat: Repeat): void {
  const { reuses } = ctx.memory
  const now = ctx.now()
  const minute = Math.floor(now / MINUTE_MS)
  const counted = reuses.minute === minute ? reuses.rows.get(repeat.credentialId) : undefined
  if (counted) counted.count++
  else {
    const seq = ctx.transact(() => {
      writeCounts(ctx)
      audit(ctx.sql, now, {
        actor: repeat.actor,
        action: 'credential.reuse',
        target: repeat.credentialId,
        subjectId: repeat.subjectId,
        outcome: 'done',
        requestId: repeat.requestId,
        origin: repeat.origin,
      })
      return lastAuditSeq(ctx.sql)
    })
    countsAreWritten(ctx)
    if (reuses.minute !== minute) reuses.rows.clear()
    reuses.minute = minute
    reuses.rows.set(repeat.credentialId, { seq, count: 1, written: 1 })
  }
  reuses.uncounted++
  if (reuses.flushIsDue) return
  reuses.flushIsDue = true
  setTimeout(() => flush(ctx), FLUSH_AFTER_MS)
}

function flush(ctx: ReuseAuditContext): void {
  ctx.memory.reuses.flushIsDue = false
  try {
    ctx.transact(() => writeCounts(ctx))
    countsAreWritten(ctx)
  } catch {
    // `transact` has logged why. The next row writes the counts.
  }
}

/** Inside a transaction. */
function writeCounts({ sql, now, memory: { reuses } }: ReuseAuditContext): void {
  for (const { seq, count, written } of reuses.rows.values()) if (count > written) setAuditCount(sql, seq, count)
  if (reuses.uncounted > 0) countUsage(sql, now(), 'reused', reuses.uncounted)
}

function countsAreWritten({ memory: { reuses } }: ReuseAuditContext): void {
  for (const row of reuses.rows.values()) row.written = row.count
  reuses.uncounted = 0
}
