/**
 * The jobs that carry revocations out: one asks Cloudflare, credential by credential; one marks the rows of a bulk revocation
 * in bounded steps. Both come back until nothing is left.
 */
import { pause } from '../../concurrency/deadline.ts'
import type { Semaphore } from '../../concurrency/semaphore.ts'
import type { Job, JobOutcome } from '../../storage/jobs.ts'
import type { TenantContext } from '../core/context.ts'
import { keyByUid } from '../turnKeys/rows.ts'
import { bulkRevocations, moveMark } from './bulkRevocations.ts'
import { type CredentialRow, markRangeRevoking, noteRevokeAttempt } from './credentialRows.ts'
import { inFlightOfKey, MARK_JOB, type NotRevoked, REVOKE_JOB, revokeNow } from './revocation.ts'
import { expiredTargets, settleTargets } from './revocationRows.ts'
import { nextRevoking, revokingOfKey, seqsBetween } from './revokingRows.ts'

const PER_RUN = 50
const RUN_MS = 15_000
const FIRST_PAUSE_MS = 500
const LONGEST_PAUSE_MS = 30_000
/** How often it is checked whether mints in flight have ended. */
const LANDING_LOOK_MS = 25
/** `tried_at` of a row that a bulk revocation marked: after those of single revocations (0), before those tried once. */
const MARKED_IN_BULK = 1
/** `tried_at` of a row that is not asked for again: it expired, or its key is deleted with its secret. */
const NEVER = Number.MAX_SAFE_INTEGER
const ROWS_A_STEP = 500
const SETTLED_A_RUN = 500

export const revokingJobs = (ctx: TenantContext) => ({
  [REVOKE_JOB]: (job: Job) => revokingJob(ctx, job),
  [MARK_JOB]: async () => markingJob(ctx),
})

/**
 * A bounded share: what was never asked for first, then what a bulk revocation marked and what was tried longest ago, so that
 * neither a failing credential nor a bulk revocation holds up the others. While mints leave connections idle, two of those are
 * used too. The wait grows only while every call fails.
 */
async function revokingJob(ctx: TenantContext, { attempt }: Job): Promise<JobOutcome> {
  const begun = ctx.now()
  settleExpired(ctx, begun)
  const run: Run = { begun, tried: 0, confirmed: 0, failed: 0, inHand: new Set() }
  const { semaphore: mints } = ctx.mints
  // One connection stays free for the next mint.
  const areIdle = () => mints.free > 1
  await Promise.all([
    revokeInTurn(ctx, run, ctx.revocationSemaphore, () => true),
    revokeInTurn(ctx, run, mints, areIdle),
    revokeInTurn(ctx, run, mints, areIdle),
  ])
  const now = ctx.now()
  const live = ctx.live()
  if (live.revoking(now) === 0) return 'done'
  // The rest was minted with keys that are deleted, together with their secrets: those credentials end by expiry.
  if (run.tried === 0 && bulkRevocations(ctx.sql).length === 0) return { againAt: live.lastExpiry(null, now) ?? now }
  if (run.failed === 0) return { againAt: now }
  if (run.confirmed > 0) return { againAt: now + FIRST_PAUSE_MS }
  return { againAt: now + Math.min(FIRST_PAUSE_MS * 2 ** Math.min(attempt, 10), LONGEST_PAUSE_MS), failed: true }
}

interface Run {
  readonly begun: number
  tried: number
  confirmed: number
  failed: number
  /** Rows that Cloudflare is being asked about. */
  readonly inHand: Set<number>
}

/** One call after the other over connections of `turn`, as long as `mayGoOn` and the run has rows, calls and time left. */
async function revokeInTurn(ctx: TenantContext, run: Run, turn: Semaphore, mayGoOn: () => boolean): Promise<void> {
  while (run.tried < PER_RUN && ctx.now() < run.begun + RUN_MS && mayGoOn()) {
    const row = nextRevoking(ctx.sql, run.begun, run.inHand)
    if (!row) return
    run.tried++
    run.inHand.add(row.seq)
    try {
      if (isOver(ctx, row)) {
        ctx.transact(() => noteRevokeAttempt(ctx.sql, row.seq, NEVER))
      } else if (await revokeNow(ctx, row, turn)) {
        run.failed++
        ctx.transact(() => noteRevokeAttempt(ctx.sql, row.seq, ctx.now()))
      } else run.confirmed++
    } finally {
      run.inHand.delete(row.seq)
    }
  }
}

const isOver = (ctx: TenantContext, row: CredentialRow): boolean =>
  row.expires_at <= ctx.now() || keyByUid(ctx.sql, row.key_uid)?.state === 'deleted'

/** Credentials that expired before Cloudflare confirmed count as expired; their rows go when the ledger is pruned. */
function settleExpired(ctx: TenantContext, now: number): void {
  const expired = expiredTargets(ctx.sql, now, SETTLED_A_RUN)
  if (expired.length === 0) return
  ctx.transact(() => {
    for (const seq of expired) settleTargets(ctx.sql, seq, 'expired')
  })
}

/** Marks what is covered of the next 500 rows as `revoking`, and erases their passwords. */
function markingJob(ctx: TenantContext): JobOutcome {
  const more = ctx.transact(() => {
    const now = ctx.now()
    const [bulk] = bulkRevocations(ctx.sql)
    if (!bulk) return false
    const { key_uid: keyUid, marked_seq: after, until_seq: until } = bulk
    const seqs = seqsBetween(ctx.sql, { after, until, limit: ROWS_A_STEP })
    const last = seqs.at(-1)
    if (last !== undefined) markRangeRevoking(ctx.sql, { after, until: last, keyUid, now }, MARKED_IN_BULK)
    const isFinished = last === undefined || seqs.length < ROWS_A_STEP
    moveMark(ctx.sql, keyUid, isFinished ? null : last)
    ctx.jobs.ensure(REVOKE_JOB, '', now)
    return !isFinished || bulkRevocations(ctx.sql).length > 0
  })
  return more ? { againAt: ctx.now() } : 'done'
}

/** Asks Cloudflare to revoke a key's pending credentials until `until` or the first failure, which is the answer. */
export async function revokeOfKey(ctx: TenantContext, uid: string, until: number): Promise<NotRevoked | undefined> {
  while (inFlightOfKey(ctx, uid) > 0 && ctx.now() < until) {
    await pause(LANDING_LOOK_MS)
  }
  for (const row of revokingOfKey(ctx.sql, uid, { now: ctx.now(), limit: PER_RUN })) {
    if (ctx.now() >= until) return
    const failed = await revokeNow(ctx, row)
    if (failed) return failed
  }
  return
}
