/** The sweep's row, and the table of creations, which maps the intent in a marker to a tenant. */
import type { SweepView } from '../../contract/resources/account.ts'
import { instant } from '../../contract/values.ts'
import type { AccountContext } from '../core/context.ts'
import { countFindings, firstFindings } from './findings.ts'

export const SWEEP_JOB = 'sweep'
export const SWEEP_EVERY_MS = 3_600_000
/** One day longer than a Tenant keeps the rows of ended keys. */
const CREATIONS_KEPT_MS = 31 * 86_400_000
const DELETED_A_RUN = 1_000

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
  sql
    .exec<{ n: number }>(
      'SELECT (SELECT count(*) FROM turn_key_owners) + (SELECT count(*) FROM creations) + (SELECT count(*) FROM findings) AS n',
    )
    .one().n > 0

/** The tenant whose creation has this intent. */
export const tenantOfCreation = (sql: SqlStorage, intent: string): string | null =>
  sql.exec<{ tenant: string }>('SELECT tenant FROM creations WHERE intent = ?', intent).toArray()[0]?.tenant ?? null

/** Deletes creations that no Tenant remembers, unless their key is still listed. Call it inside a transaction. */
export function deleteOldCreations(sql: SqlStorage, now: number, listed: ReadonlySet<string>): void {
  const old = sql
    .exec<{ intent: string }>(
      'SELECT intent FROM creations WHERE at < ? LIMIT ?',
      now - CREATIONS_KEPT_MS,
      DELETED_A_RUN + listed.size,
    )
    .toArray()
  for (const { intent } of old) {
    if (!listed.has(intent)) sql.exec('DELETE FROM creations WHERE intent = ?', intent)
  }
}

export function sweepView({ sql }: AccountContext): SweepView {
  const row = sweepRow(sql)
  const at = (ms: number | null) => (ms === null ? null : instant(ms))
  const [job] = sql.exec<{ due: number }>('SELECT due FROM jobs WHERE kind = ?', SWEEP_JOB).toArray()
  return {
    state: row.state,
    begunAt: at(row.begun_at),
    endedAt: at(row.ended_at),
    nextAt: at(job?.due ?? null),
    tenants: { asked: row.asked, failed: row.failed },
    counts: countFindings(sql),
    findings: firstFindings(sql),
  }
}
