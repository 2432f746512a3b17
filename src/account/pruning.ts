/** The job that deletes what the Account keeps for a time only: audit events, and records of `Idempotency-Key`. */
import { pruneAuditTrail } from '../storage/audit.ts'
import type { JobOutcome } from '../storage/jobs.ts'
import type { AccountContext } from './core/context.ts'

export const PRUNE_JOB = 'prune'
const ROWS_A_RUN = 500
const EVERY_MS = 3_600_000
const SOON_MS = 1_000
/** The trail of operators: longer than a tenant's, because it grows with what operators do. */
const AUDIT_KEPT_MS = 400 * 86_400_000
const AUDIT_KEPT_ROWS = 1_000_000

/** When the object starts: the job exists from then on. */
export const beginPruning = ({ jobs, now }: Pick<AccountContext, 'jobs' | 'now'>): void =>
  jobs.ensure(PRUNE_JOB, '', now() + EVERY_MS)

export async function prune(ctx: AccountContext): Promise<JobOutcome> {
  const now = ctx.now()
  const more = ctx.transact(() => {
    const events = pruneAuditTrail(ctx.sql, {
      now,
      before: now - AUDIT_KEPT_MS,
      keptRows: AUDIT_KEPT_ROWS,
      atMost: ROWS_A_RUN,
    })
    return Math.max(events, ctx.idempotency.forgetExpired(ROWS_A_RUN)) === ROWS_A_RUN
  })
  return { againAt: now + (more ? SOON_MS : EVERY_MS) }
}
