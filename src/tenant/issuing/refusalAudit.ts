/**
 * Refusals in the audit trail: one row for each asker, subject and code a minute, however many there were. A flood must
 * not write rows: repeats are counted in memory, and a job writes the counts 5 s later. A quiet object is put to sleep after
 * 10 s, so it has written them by then. An object that ends earlier loses the counts of these 5 s.
 */
import { ERRORS, type ErrorCode } from '../../errors.ts'
import type { IssueRequest, RefusedJwt } from '../../rpc/issuing.ts'
import { type AuditEvent, audit, setAuditCount } from '../../storage/audit.ts'
import type { TenantContext } from '../core/context.ts'
import { findSubject } from '../ledger/subjects.ts'
import { askerName } from './eligibility.ts'

const FLUSH_JOB = 'count-refusals'
const MINUTE_MS = 60_000
const FLUSH_AFTER_MS = 5_000
/** Different refusals that get their own row in one minute; any other is counted with the last of these. */
const MAX_ROWS_A_MINUTE = 200

/** Never throws: the caller gets the refusal also when it could not be recorded. */
export function recordRefusal(ctx: TenantContext, request: IssueRequest, code: ErrorCode): void {
  // A wrong API token proves no name for the trail, and any stranger can send as many as they like.
  if (code === 'invalid_token' && request.asker.kind === 'server') return
  count(ctx, {
    actor: askerName(request.asker),
    subject: request.subject,
    outcome: ERRORS[code].status < 500 ? 'refused' : 'failed',
    code,
    requestId: request.requestId,
    origin: request.origin,
  })
}

/** A JWT that the edge refused although its provider signed it. Which one is the Worker's decision; nothing of the JWT is stored. */
export function recordRefusedJwt(ctx: TenantContext, { issuer, reason, requestId, origin }: RefusedJwt): void {
  count(ctx, { actor: `tenant-jwt:${issuer}`, subject: null, outcome: 'refused', code: reason, requestId, origin })
}

interface Refusal extends Pick<AuditEvent, 'actor' | 'outcome' | 'requestId' | 'origin'> {
  readonly subject: string | null
  readonly code: string
}

function count(ctx: TenantContext, { subject, ...refusal }: Refusal): void {
  const memory = ctx.memory.refusals
  const minute = Math.floor(ctx.now() / MINUTE_MS)
  try {
    if (memory.minute !== minute) {
      flush(ctx)
      memory.rows.clear()
    }
    memory.minute = minute
    const subjectId = subject === null ? null : (findSubject(ctx.sql, subject)?.id ?? null)
    const name = `${refusal.actor} ${subjectId} ${refusal.code}`
    const { rows } = memory
    const counted = rows.get(name) ?? (rows.size >= MAX_ROWS_A_MINUTE ? [...rows.values()].at(-1) : undefined)
    if (counted) {
      counted.count++
      if (!memory.flushIsDue) ctx.transact(() => ctx.jobs.put(FLUSH_JOB, '', ctx.now() + FLUSH_AFTER_MS))
      memory.flushIsDue = true
      return
    }
    const seq = ctx.transact(() => audit(ctx.sql, ctx.now(), { ...refusal, action: 'credential.issue', subjectId }))
    rows.set(name, { seq, count: 1, written: 1 })
  } catch {
    // `transact` has logged why.
  }
}

export const refusalJobs = (ctx: TenantContext) => ({
  [FLUSH_JOB]: async () => {
    flush(ctx)
    return 'done' as const
  },
})

function flush(ctx: Pick<TenantContext, 'sql' | 'memory' | 'transact'>): void {
  const { refusals } = ctx.memory
  const changed = [...refusals.rows.values()].filter(({ count, written }) => count > written)
  if (changed.length > 0) {
    ctx.transact(() => {
      for (const { seq, count } of changed) setAuditCount(ctx.sql, seq, count)
    })
  }
  for (const row of changed) row.written = row.count
  refusals.flushIsDue = false
}
