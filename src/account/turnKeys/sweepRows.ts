/** The sweep's own row, and the creations by which a marker leads to a tenant. */
import type { SweepView } from '../../contract/resources/account.ts'
import { instant } from '../../contract/values.ts'
import type { AccountContext } from '../core/context.ts'
import { countFindings, firstFindings } from './findings.ts'

export const SWEEP_JOB = 'sweep'
export const SWEEP_EVERY_MS = 3_600_000
/** As long as a Tenant keeps the rows of keys that are over, and a day. */
const CREATIONS_KEPT_MS = 31 * 86_400_000
const FORGOTTEN_A_RUN = 1_000

export interface SweepRow extends Record<string, SqlStorageValue> {
  state: SweepView['state']
  /** Names the run, too. */
  begun_at: number | null
  ended_at: number | null
  /** The last tenant that was asked: a run goes on behind it. */
  next: string
  asked: number
  failed: number
  /** How many keys may still be asked for one by one. */
  checks_left: number
}

export const sweepRow = (sql: SqlStorage): SweepRow => sql.exec<SweepRow>('SELECT * FROM sweep').one()

/** Keys may be there, so that a sweep must come. Inside a transaction. */
export const ensureSweep = (ctx: Pick<AccountContext, 'jobs' | 'now'>): void =>
  ctx.jobs.ensure(SWEEP_JOB, '', ctx.now() + SWEEP_EVERY_MS)

export const isAnythingToSweep = (sql: SqlStorage): boolean =>
  sql
    .exec<{ n: number }>(
      'SELECT (SELECT count(*) FROM turn_key_owners) + (SELECT count(*) FROM creations) + (SELECT count(*) FROM findings) AS n',
    )
    .one().n > 0

/** The tenant on whose behalf a key with this intent in its marker was asked for. */
export const tenantOfCreation = (sql: SqlStorage, intent: string): string | null =>
  sql.exec<{ tenant: string }>('SELECT tenant FROM creations WHERE intent = ?', intent).toArray()[0]?.tenant ?? null

/** Creations from before a Tenant's memory, unless their key is still listed. Inside a transaction. */
export function forgetOldCreations(sql: SqlStorage, now: number, listed: ReadonlySet<string>): void {
  const old = sql
    .exec<{ intent: string }>(
      'SELECT intent FROM creations WHERE at < ? LIMIT ?',
      now - CREATIONS_KEPT_MS,
      FORGOTTEN_A_RUN + listed.size,
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
