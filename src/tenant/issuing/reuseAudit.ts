/**
 * Repeats in the audit trail and in the usage: one row for each credential and minute, in the transaction before the credential
 * is handed out again. Further repeats in that minute write nothing: they are counted in memory, and a timer writes the counts
 * 5 s later. An object that ends earlier loses the counts of these 5 s, never a row.
 */
import { audit, setAuditCount } from '../../storage/audit.ts'
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
  if (counted) {
    counted.count++
    reuses.unwritten.add(counted)
  } else {
    const seq = ctx.transact(() =>
      audit(ctx.sql, now, {
        actor: repeat.actor,
        action: 'credential.reuse',
        target: repeat.credentialId,
        subjectId: repeat.subjectId,
        outcome: 'done',
        requestId: repeat.requestId,
        origin: repeat.origin,
      }),
    )
    if (reuses.minute !== minute) reuses.rows.clear()
    reuses.minute = minute
    reuses.rows.set(repeat.credentialId, { seq, count: 1 })
  }
  reuses.uncounted++
  flushLater(ctx)
}

function flushLater(ctx: ReuseAuditContext): void {
  const { reuses } = ctx.memory
  if (reuses.flushIsDue) return
  reuses.flushIsDue = true
  setTimeout(() => flush(ctx), FLUSH_AFTER_MS)
}

function flush(ctx: ReuseAuditContext): void {
  const { sql, now } = ctx
  const { reuses } = ctx.memory
  reuses.flushIsDue = false
  try {
    ctx.transact(() => {
      for (const { seq, count } of reuses.unwritten) setAuditCount(sql, seq, count)
      countUsage(sql, now(), 'reused', reuses.uncounted)
    })
    reuses.unwritten.clear()
    reuses.uncounted = 0
  } catch {
    // `transact` has logged why. The next repeat begins a new attempt.
  }
}
