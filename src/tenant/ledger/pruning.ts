/**
 * The job that keeps the object small: it deletes expired credentials, audit events by age and by number, and the rest
 * after fixed times. A run reads and writes in proportion to what it deletes, `ROWS_A_RUN` rows of a table at most, and comes
 * back while there is more. It exists as long as the tenant, also where no credential was ever minted.
 */
import { REVOCATION_KEPT_DAYS } from '../../contract/resources/revocations.ts'
import { pruneAuditTrail } from '../../storage/audit.ts'
import type { JobOutcome } from '../../storage/jobs.ts'
import { endBans, forgetBans } from '../core/banRows.ts'
import type { TenantContext } from '../core/context.ts'
import { tenantId, tenantRecord } from '../core/tenantRow.ts'
import { forgetKey, forgettableKeys } from '../turnKeys/writes.ts'
import { forgetCounts, ROWS_A_CHECKPOINT, storeCounts } from './counts.ts'
import { deleteCredential } from './credentialRows.ts'
import { countBulk, forgetRevocations, settleTargets } from './revocationRows.ts'
import type { StateRow } from './revokingRows.ts'
import { forgetSubjects } from './subjects.ts'
import { forgetUrlLists, URL_LIST_KEPT_MS } from './urlLists.ts'
import { countExpired, forgetUsage } from './usage.ts'

const PRUNE_JOB = 'prune'
const ROWS_A_RUN = 500
/** Of each the Account is told. */
const KEYS_A_RUN = 20
const AT_LEAST_EVERY_MS = 3_600_000
const NOT_BEFORE_MS = 60_000
/** While more credentials or events are due: these grow with the mints. */
const SOON_MS = 1_000
/** How long a row outlives its credential: the mints of the last minute are counted from their rows. */
const KEPT_MS = 60_000
const DAY_MS = 86_400_000
const USAGE_KEPT_DAYS = 90

/** Inside the transaction that sets the tenant up. */
export function beginPruning({ jobs, now }: Pick<TenantContext, 'jobs' | 'now'>): void {
  jobs.ensure(PRUNE_JOB, '', now() + AT_LEAST_EVERY_MS)
}

/** Inside the transaction of a mint: makes sure that the job exists. It also stores the counts, so many new rows call it earlier. */
export function schedulePruning(ctx: Pick<TenantContext, 'memory' | 'jobs' | 'now'>, expiresAt: number): void {
  const { rowsSinceStored } = ctx.memory.live
  // Again every 500 rows, should a run have failed.
  if (rowsSinceStored >= ROWS_A_CHECKPOINT && rowsSinceStored % ROWS_A_RUN === 0) ctx.jobs.put(PRUNE_JOB, '', ctx.now())
  if (ctx.memory.pruningScheduled) return
  ctx.memory.pruningScheduled = true
  ctx.jobs.ensure(PRUNE_JOB, '', Math.min(expiresAt + KEPT_MS, ctx.now() + AT_LEAST_EVERY_MS))
}

export const pruningJobs = (ctx: TenantContext) => ({ [PRUNE_JOB]: () => prune(ctx) })

async function prune(ctx: TenantContext): Promise<JobOutcome> {
  const now = ctx.now()
  const { soon, later } = ctx.transact(() => {
    // First: what was issued is counted from rows that may go now.
    storeCounts(ctx)
    const expired = pruneCredentials(ctx, now)
    const audited = pruneAudit(ctx, now)
    forgetCounts(ctx.sql, now)
    return { soon: expired || audited, later: pruneResourcesInTheirTurn(ctx, now) }
  })
  const keysLeft = await pruneKeys(ctx, now)
  if (soon) return { againAt: now + SOON_MS }
  if (later || keysLeft) return { againAt: now + NOT_BEFORE_MS }
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
  const unrevoked = rows.filter(({ state }) => state !== 'revoked')
  countExpired(ctx.sql, unrevoked)
  for (const { seq, state } of rows) {
    if (state === 'revoking') settleTargets(ctx.sql, seq, 'expired')
    deleteCredential(ctx.sql, seq)
  }
  // A row that a bulk revocation covers is counted on it, whether it was marked or not.
  countBulk(ctx.sql, unrevoked, 'expired')
  return rows.length === ROWS_A_RUN
}

/** By age and by number, whichever leaves fewer rows: an object holds 10 GB at most. */
function pruneAudit(ctx: TenantContext, now: number): boolean {
  const { auditRetentionDays, auditRetentionRows } = tenantRecord(ctx).policy
  const deleted = pruneAuditTrail(ctx.sql, {
    now,
    before: now - auditRetentionDays * DAY_MS,
    keptRows: auditRetentionRows,
    atMost: ROWS_A_RUN,
  })
  return deleted === ROWS_A_RUN
}

/** Not in every run of those that follow each other: subjects, revocations and bans do not grow with expired credentials. */
function pruneResourcesInTheirTurn(ctx: TenantContext, now: number): boolean {
  if (now < ctx.memory.resourcesPrunedAt + NOT_BEFORE_MS) return true
  ctx.memory.resourcesPrunedAt = now
  return pruneResources(ctx, now)
}

/** Inside a transaction. Returns whether a walk over the subjects, or expired records of requests, are left for the next run. */
function pruneResources(ctx: TenantContext, now: number): boolean {
  const { sql } = ctx
  const kept = now - REVOCATION_KEPT_DAYS * DAY_MS
  forgetRevocations(sql, kept, ROWS_A_RUN)
  endBans(sql, now, ROWS_A_RUN)
  forgetBans(sql, kept, ROWS_A_RUN)
  forgetUsage(sql, now - USAGE_KEPT_DAYS * DAY_MS)
  forgetUrlLists(sql, now - URL_LIST_KEPT_MS, ROWS_A_RUN)
  const records = ctx.idempotency.forgetExpired(ROWS_A_RUN)
  const { auditRetentionDays } = tenantRecord(ctx).policy
  const walking = forgetSubjects(ctx, now - auditRetentionDays * DAY_MS, ROWS_A_RUN)
  return walking || records === ROWS_A_RUN
}

/** Rows of keys that ended long ago. The Account forgets first whose they were: it is asked again if it does not answer. */
async function pruneKeys(ctx: TenantContext, now: number): Promise<boolean> {
  const rows = forgettableKeys(ctx.sql, now, KEYS_A_RUN)
  for (const row of rows) {
    const released = row.uid === null || (await ctx.account.releaseTurnKey(row.uid, tenantId(ctx))).ok
    if (!released) return false
    ctx.transact(() => forgetKey(ctx.sql, row))
  }
  return rows.length >= KEYS_A_RUN
}
