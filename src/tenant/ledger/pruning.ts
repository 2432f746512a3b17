/**
 * The job that keeps the object small: it deletes expired credentials, audit events by age and by number, and the rest
 * after fixed times. A run does a bounded amount of work and comes back while there is more.
 */
import { REVOCATION_KEPT_DAYS } from '../../contract/resources/revocations.ts'
import { pruneAuditTrail } from '../../storage/audit.ts'
import type { JobOutcome } from '../../storage/jobs.ts'
import { forgetBans } from '../core/banRows.ts'
import type { TenantContext } from '../core/context.ts'
import { tenantRecord } from '../core/tenantRow.ts'
import { forgetCounts, ROWS_A_CHECKPOINT, storeCounts } from './counts.ts'
import { deleteCredential } from './credentialRows.ts'
import { countBulk, forgetRevocations, settleTargets } from './revocationRows.ts'
import type { StateRow } from './revokingRows.ts'
import { forgetSubjects } from './subjects.ts'
import { countUsage, forgetUsage } from './usage.ts'

const PRUNE_JOB = 'prune'
const ROWS_A_RUN = 500
const AT_LEAST_EVERY_MS = 3_600_000
const NOT_BEFORE_MS = 60_000
/** How long a row outlives its credential: the mints of the last minute are counted from their rows. */
const KEPT_MS = 60_000
const DAY_MS = 86_400_000
const USAGE_KEPT_DAYS = 90

/** Inside the transaction of a mint: makes sure that the job exists. It also stores the counts, so many new rows call it earlier. */
export function schedulePruning(ctx: Pick<TenantContext, 'memory' | 'jobs' | 'now'>, expiresAt: number): void {
  if (ctx.memory.live.rowsSinceStored === ROWS_A_CHECKPOINT) ctx.jobs.put(PRUNE_JOB, '', ctx.now())
  if (ctx.memory.pruningScheduled) return
  ctx.memory.pruningScheduled = true
  ctx.jobs.ensure(PRUNE_JOB, '', Math.min(expiresAt + KEPT_MS, ctx.now() + AT_LEAST_EVERY_MS))
}

export const pruningJobs = (ctx: TenantContext) => ({ [PRUNE_JOB]: async () => prune(ctx) })

function prune(ctx: TenantContext): JobOutcome {
  const now = ctx.now()
  const more = ctx.transact(() => {
    const expired = pruneCredentials(ctx, now)
    const audited = pruneAudit(ctx, now)
    pruneResources(ctx, now)
    ctx.idempotency.forgetExpired()
    storeCounts(ctx)
    forgetCounts(ctx.sql, now)
    return expired || audited
  })
  if (more) return { againAt: now + 1_000 }
  const { next } = ctx.sql.exec<{ next: number | null }>('SELECT min(expires_at) AS next FROM credentials').one()
  return { againAt: Math.min(Math.max((next ?? 0) + KEPT_MS, now + NOT_BEFORE_MS), now + AT_LEAST_EVERY_MS) }
}

function pruneCredentials(ctx: TenantContext, now: number): boolean {
  const rows = ctx.sql
    .exec<StateRow>(
      'SELECT seq, key_uid, state, expires_at FROM credentials WHERE expires_at <= ? ORDER BY expires_at LIMIT ?',
      now - KEPT_MS,
      ROWS_A_RUN,
    )
    .toArray()
  for (const { seq, state, expires_at } of rows) {
    if (state !== 'revoked') countUsage(ctx.sql, expires_at, 'expired')
    if (state === 'revoking') settleTargets(ctx.sql, seq, 'expired')
    deleteCredential(ctx.sql, seq)
  }
  // A row that a bulk revocation covers is counted on it, whether it was marked or not.
  countBulk(
    ctx.sql,
    rows.filter(({ state }) => state !== 'revoked'),
    'expired',
  )
  return rows.length === ROWS_A_RUN
}

/** By age and by number, whichever leaves fewer rows: an object holds 10 GB at most. */
function pruneAudit(ctx: TenantContext, now: number): boolean {
  const { auditRetentionDays, auditRetentionRows } = tenantRecord(ctx).policy
  const deleted = pruneAuditTrail(ctx.sql, {
    before: now - auditRetentionDays * DAY_MS,
    keptRows: auditRetentionRows,
    atMost: ROWS_A_RUN,
  })
  return deleted === ROWS_A_RUN
}

function pruneResources(ctx: TenantContext, now: number): void {
  const { sql } = ctx
  const kept = now - REVOCATION_KEPT_DAYS * DAY_MS
  forgetRevocations(sql, kept)
  forgetBans(sql, kept)
  forgetUsage(sql, now - USAGE_KEPT_DAYS * DAY_MS)
  const { auditRetentionDays } = tenantRecord(ctx).policy
  forgetSubjects(sql, now - auditRetentionDays * DAY_MS, ROWS_A_RUN)
}
