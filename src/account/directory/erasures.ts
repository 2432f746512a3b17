/**
 * The table `erasures`: which subjects tenants erased, by id. Point-in-time recovery reaches back 30 days, so a row is kept for 31
 * days after the last erasure. Only this file writes the table.
 */
import { ERASURES_A_CALL, type Erasure } from '../../rpc/restore.ts'
import type { JobOutcome } from '../../storage/jobs.ts'
import type { AccountContext } from '../core/context.ts'

export const FORGET_ERASURES_JOB = 'forget-erasures'
const KEPT_MS = 31 * 86_400_000
const FORGOTTEN_A_RUN = 500

/** Idempotent. A later erasure of the same subject, after a restore, counts from its own time. */
export function recordErasures(ctx: AccountContext, tenant: string, erasures: readonly Erasure[]): void {
  ctx.transact(() => {
    for (const { subjectId, at } of erasures) {
      ctx.sql.exec(
        'INSERT INTO erasures (tenant, subject_id, at) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET at = max(at, excluded.at)',
        tenant,
        subjectId,
        at,
      )
    }
    ctx.jobs.ensure(FORGET_ERASURES_JOB, '', ctx.now() + KEPT_MS)
  })
}

/** One page of a tenant's erased subjects in the order of their ids: those after `after`. */
export const erasedSubjects = (sql: SqlStorage, tenant: string, after: string): string[] =>
  sql
    .exec<{ id: string }>(
      'SELECT subject_id AS id FROM erasures WHERE tenant = ? AND subject_id > ? ORDER BY subject_id LIMIT ?',
      tenant,
      after,
      ERASURES_A_CALL,
    )
    .toArray()
    .map(({ id }) => id)

/** The job: deletes what no restore can bring back any more. */
export async function forgetErasures({ sql, now }: AccountContext): Promise<JobOutcome> {
  const { rowsWritten } = sql.exec(
    `DELETE FROM erasures WHERE (tenant, subject_id) IN (
       SELECT tenant, subject_id FROM erasures WHERE at <= ? ORDER BY at LIMIT ?)`,
    now() - KEPT_MS,
    FORGOTTEN_A_RUN,
  )
  if (rowsWritten > 0) return { againAt: now() }
  const { oldest } = sql.exec<{ oldest: number | null }>('SELECT min(at) AS oldest FROM erasures').one()
  return oldest === null ? 'done' : { againAt: oldest + KEPT_MS }
}
