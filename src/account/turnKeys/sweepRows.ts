/** The sweep's one row, and whether a sweep has anything to do. The row is written by sweep.ts only. */
import type { SweepView } from '../../contract/resources/account.ts'
import { instant } from '../../contract/values.ts'
import { hasCreations } from '../budget/creations.ts'
import type { AccountContext } from '../core/context.ts'
import { hasOwnedKeys } from '../directory/keyOwners.ts'
import { countFindings, firstFindings, hasFindings } from './findings.ts'

export const SWEEP_JOB = 'sweep'
export const SWEEP_EVERY_MS = 3_600_000

export interface SweepRow extends Record<string, SqlStorageValue> {
  state: SweepView['state']
  /** Also the id of the run. */
  begun_at: number | null
  ended_at: number | null
  /** The last tenant that was asked. The run resumes after it. */
  next: string
  asked: number
  failed: number
  /** How many unlisted keys may still be checked one by one. */
  checks_left: number
}

export const sweepRow = (sql: SqlStorage): SweepRow => sql.exec<SweepRow>('SELECT * FROM sweep').one()

/** Schedules a sweep, because there may be keys from now on. Call it inside a transaction. */
export const scheduleSweep = (ctx: Pick<AccountContext, 'jobs' | 'now'>): void =>
  ctx.jobs.ensure(SWEEP_JOB, '', ctx.now() + SWEEP_EVERY_MS)

export const isAnythingToSweep = (sql: SqlStorage): boolean =>
  hasOwnedKeys(sql) || hasCreations(sql) || hasFindings(sql)

export function sweepView({ sql, jobs }: AccountContext): SweepView {
  const row = sweepRow(sql)
  const at = (ms: number | null) => (ms === null ? null : instant(ms))
  return {
    state: row.state,
    begunAt: at(row.begun_at),
    endedAt: at(row.ended_at),
    nextAt: at(jobs.dueAt(SWEEP_JOB, '') ?? null),
    tenants: { asked: row.asked, failed: row.failed },
    counts: countFindings(sql),
    findings: firstFindings(sql),
  }
}
