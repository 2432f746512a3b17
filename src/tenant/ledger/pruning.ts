/**
 * Keeping the object small: credentials go when they have expired, audit events by days and by rows, the rest after
 * fixed times. Bounded work a run; the job comes back while there is more.
 */
import { REVOCATION_KEPT_DAYS } from '../../contract/resources/revocations.ts'
import type { JobOutcome } from '../../storage/jobs.ts'
import type { TenantContext } from '../core/context.ts'
import { tenantRecord } from '../core/tenantRow.ts'
import type { CredentialState } from './credentialRows.ts'
import { settleTargets } from './revocation.ts'
import { countUsage, dayOf } from './usage.ts'

const PRUNE_JOB = 'prune'
const ROWS_A_RUN = 500
const AT_LEAST_EVERY_MS = 3_600_000
const NOT_BEFORE_MS = 60_000
/** How long a row outlives its credential: whatever was minted in the last minute is still there to be counted. */
const KEPT_MS = 60_000
const DAY_MS = 86_400_000
const USAGE_KEPT_DAYS = 90

/** Inside the transaction of a mint: makes sure that the job exists. */
export function schedulePruning(ctx: Pick<TenantContext, 'memory' | 'jobs' | 'now'>, expiresAt: number): void {
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
    return expired || audited
  })
  if (more) return { againAt: now + 1_000 }
  const { next } = ctx.sql.exec<{ next: number | null }>('SELECT min(expires_at) AS next FROM credentials').one()
  return { againAt: Math.min(Math.max((next ?? 0) + KEPT_MS, now + NOT_BEFORE_MS), now + AT_LEAST_EVERY_MS) }
}

function pruneCredentials(ctx: TenantContext, now: number): boolean {
  const rows = ctx.sql
    .exec<{ seq: number; state: CredentialState; expires_at: number }>(
      'SELECT seq, state, expires_at FROM credentials WHERE expires_at <= ? ORDER BY expires_at LIMIT ?',
      now - KEPT_MS,
      ROWS_A_RUN,
    )
    .toArray()
  for (const { seq, state, expires_at } of rows) {
    if (state !== 'revoked') countUsage(ctx.sql, expires_at, 'expired')
    if (state === 'revoking') settleTargets(ctx, seq, 'expired')
    ctx.sql.exec('DELETE FROM credentials WHERE seq = ?', seq)
  }
  return rows.length === ROWS_A_RUN
}

/** By days, and by rows: whichever leaves fewer, so that 10 GB are never reached. */
function pruneAudit(ctx: TenantContext, now: number): boolean {
  const { auditRetentionDays, auditRetentionRows } = tenantRecord(ctx).policy
  const { newest } = ctx.sql.exec<{ newest: number | null }>('SELECT max(seq) AS newest FROM audit_events').one()
  // Sequence and time grow together: the oldest rows are the first ones.
  const oldest = ctx.sql
    .exec<{ seq: number; at: number }>('SELECT seq, at FROM audit_events ORDER BY seq LIMIT ?', ROWS_A_RUN)
    .toArray()
  const past = oldest.filter(
    ({ seq, at }) => at < now - auditRetentionDays * DAY_MS || seq <= (newest ?? 0) - auditRetentionRows,
  )
  const last = past.at(-1)
  if (last) ctx.sql.exec('DELETE FROM audit_events WHERE seq <= ?', last.seq)
  return past.length === ROWS_A_RUN
}

function pruneResources(ctx: TenantContext, now: number): void {
  const { sql } = ctx
  const kept = now - REVOCATION_KEPT_DAYS * DAY_MS
  sql.exec('DELETE FROM revocations WHERE created_at < ? AND matched = revoked + expired', kept)
  sql.exec('DELETE FROM bans WHERE until < ? OR lifted_at < ?', kept, kept)
  sql.exec('DELETE FROM usage_days WHERE day < ?', dayOf(now - USAGE_KEPT_DAYS * DAY_MS))
  const { auditRetentionDays } = tenantRecord(ctx).policy
  sql.exec(
    `DELETE FROM subjects WHERE seq IN (
       SELECT seq FROM subjects WHERE used_at < ?
         AND NOT EXISTS (SELECT 1 FROM credentials WHERE subject_id = subjects.id)
         AND NOT EXISTS (SELECT 1 FROM bans WHERE subject_id = subjects.id)
       LIMIT ?)`,
    now - auditRetentionDays * DAY_MS,
    ROWS_A_RUN,
  )
}
