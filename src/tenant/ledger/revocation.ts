/**
 * Revoking credentials. First they stop being live here, durably; then a job asks Cloudflare until it answers 204 or the
 * credential has expired. Cloudflare has neither a list nor a bulk revocation: the ledger is the only record.
 */
import { failureOf } from '../../cloudflare/failures.ts'
import { pause } from '../../concurrency/deadline.ts'
import { BrokerError, type Failure } from '../../errors.ts'
import { audit } from '../../storage/audit.ts'
import type { Job, JobOutcome } from '../../storage/jobs.ts'
import type { ReadContext, TenantContext } from '../core/context.ts'
import { raiseEpoch } from '../core/tenantRow.ts'
import type { MintInFlight } from '../memory/mintInFlight.ts'
import { keyByUid } from '../turnKeys/rows.ts'
import { type OpenedKey, openKey } from '../turnKeys/secret.ts'
import { type CredentialRow, credentialById, markRevoked, markRevoking, noteRevokeAttempt } from './credentialRows.ts'
import { insertTargets, settleTargets } from './revocationRows.ts'
import { countUsage } from './usage.ts'

const REVOKE_JOB = 'revoke-credentials'
const REVOKE_DEADLINE_MS = 4_000
/** How long a call waits for its turn at the semaphore. */
const TURN_MS = 8_000
const PER_RUN = 50
const RUN_MS = 15_000
const LONGEST_PAUSE_MS = 30_000
const UNRECORDED_ATTEMPTS = 5
/** How often it is checked whether mints in flight have ended. */
const LANDING_LOOK_MS = 25

export const scheduleRevoking = (ctx: Pick<TenantContext, 'jobs' | 'now'>): void =>
  ctx.jobs.put(REVOKE_JOB, '', ctx.now())

/** Selects credentials: an SQL condition on the ledger's columns, and the same condition for mints that have no row yet. */
export interface Selection {
  readonly where: string
  readonly bindings: readonly SqlStorageValue[]
  readonly inFlight: (mint: MintInFlight) => boolean
}

export const ofSubject = (subjectId: string): Selection => ({
  where: 'subject_id = ?',
  bindings: [subjectId],
  inFlight: (mint) => mint.subjectId === subjectId,
})
export const ofKey = (uid: string): Selection => ({
  where: 'key_uid = ?',
  bindings: [uid],
  inFlight: (mint) => mint.keyUid === uid,
})
export const ofCredential = (id: string): Selection => ({ where: 'id = ?', bindings: [id], inFlight: () => false })
export const everything: Selection = { where: 'TRUE', bindings: [], inFlight: () => true }

/**
 * Inside a transaction: the selected credentials become `revoking`, and mints in flight that match are marked, so that
 * none is handed out. Answers how many credentials are being revoked; `revocation` waits for them.
 */
export function beginRevoking(ctx: TenantContext, selection: Selection, revocation: number | null): number {
  const now = ctx.now()
  const { where, bindings } = selection
  for (const mint of ctx.memory.mintsInFlight) if (selection.inFlight(mint)) mint.revoked = true
  const met = `expires_at > ? AND (${where})`
  const live = ctx.live()
  for (const row of ctx.sql.exec<{ expires_at: number }>(
    `SELECT expires_at FROM credentials WHERE state = 'live' AND ${met}`,
    now,
    ...bindings,
  )) {
    live.remove(row.expires_at)
  }
  // The sealed password is erased in the same statement: it is handed out to no caller again.
  markRevoking(ctx.sql, { where: met, bindings: [now, ...bindings] })
  raiseEpoch(ctx)
  scheduleRevoking(ctx)
  const { matched } = ctx.sql
    .exec<{ matched: number }>(
      `SELECT count(*) AS matched FROM credentials WHERE state = 'revoking' AND ${met}`,
      now,
      ...bindings,
    )
    .one()
  if (revocation !== null && matched > 0) {
    insertTargets(ctx.sql, revocation, { where: met, bindings: [now, ...bindings] })
  }
  return matched
}

/** How many revocations of a key's credentials Cloudflare has not confirmed yet. A mint in flight counts: it may become one. */
export const pendingOfKey = (ctx: ReadContext & Pick<TenantContext, 'memory'>, uid: string): number =>
  inFlightOfKey(ctx, uid) +
  ctx.sql
    .exec<{ n: number }>(
      "SELECT count(*) AS n FROM credentials WHERE state = 'revoking' AND key_uid = ? AND expires_at > ?",
      uid,
      ctx.now(),
    )
    .one().n

const inFlightOfKey = (ctx: Pick<TenantContext, 'memory'>, uid: string): number =>
  [...ctx.memory.mintsInFlight].filter(({ keyUid }) => keyUid === uid).length

/** Asks Cloudflare to revoke a key's pending credentials until `until` or the first failure, which is the answer. */
export async function revokeOfKey(ctx: TenantContext, uid: string, until: number): Promise<NotRevoked | undefined> {
  while (inFlightOfKey(ctx, uid) > 0 && ctx.now() < until) {
    await pause(LANDING_LOOK_MS)
  }
  const rows = ctx.sql
    .exec<CredentialRow>(
      "SELECT * FROM credentials WHERE state = 'revoking' AND key_uid = ? AND expires_at > ? LIMIT ?",
      uid,
      ctx.now(),
      PER_RUN,
    )
    .toArray()
  for (const row of rows) {
    if (ctx.now() >= until) return
    const failed = await revoke(ctx, row)
    if (failed) return failed
  }
  return
}

/** `why`: Cloudflare refused, the key's secret does not open, or it may work the next time. */
export interface NotRevoked {
  readonly why: 'refused' | 'unreadable' | 'for-now'
  readonly failure: Failure
}

/** Asks Cloudflare to revoke one credential now. `undefined`: Cloudflare confirmed. */
export const revokeNow = async (ctx: TenantContext, row: CredentialRow): Promise<Failure | undefined> =>
  (await revoke(ctx, row))?.failure

async function revoke(ctx: TenantContext, row: CredentialRow): Promise<NotRevoked | undefined> {
  const key = keyByUid(ctx.sql, row.key_uid)
  if (!key) return { why: 'unreadable', failure: { code: 'upstream_failed' } }
  const opened = await openKey(ctx, key).catch(() => undefined)
  if (!opened) return { why: 'unreadable', failure: { code: 'internal' } }
  const failed = await askUpstream(ctx, opened, row.username)
  if (!failed) ctx.transact(() => confirm(ctx, row))
  return failed
}

/** The job: a bounded share of the pending ones, longest untried first, so that a failing one does not block the others. */
async function revokingJob(ctx: TenantContext, { attempt }: Job): Promise<JobOutcome> {
  const until = ctx.now() + RUN_MS
  const rows = ctx.sql
    .exec<CredentialRow>(
      `SELECT * FROM credentials WHERE state = 'revoking' AND expires_at > ?
         AND key_uid NOT IN (SELECT uid FROM turn_keys WHERE state = 'deleted' AND uid IS NOT NULL)
       ORDER BY tried_at, seq LIMIT ?`,
      ctx.now(),
      PER_RUN,
    )
    .toArray()
  let failed = 0
  for (const row of rows) {
    if (ctx.now() >= until) break
    if (!(await revokeNow(ctx, row))) continue
    failed++
    ctx.transact(() => noteRevokeAttempt(ctx.sql, row.seq, ctx.now()))
  }
  const now = ctx.now()
  settleExpired(ctx, now)
  const { left, last } = ctx.sql
    .exec<{ left: number; last: number }>(
      "SELECT count(*) AS left, max(expires_at) AS last FROM credentials WHERE state = 'revoking' AND expires_at > ?",
      now,
    )
    .one()
  if (left === 0) return 'done'
  // The rest was minted with keys that are deleted, together with their secrets: those credentials end by expiry.
  if (rows.length === 0) return { againAt: last }
  const pauseMs = failed === 0 ? 0 : Math.min(500 * 2 ** Math.min(attempt, 10), LONGEST_PAUSE_MS)
  return { againAt: now + pauseMs }
}

/** Credentials that expired before Cloudflare confirmed count as expired; their rows go when the ledger is pruned. */
function settleExpired(ctx: TenantContext, now: number): void {
  const rows = ctx.sql
    .exec<{ seq: number }>(
      `SELECT seq FROM credentials WHERE state = 'revoking' AND expires_at <= ?
         AND EXISTS (SELECT 1 FROM revocation_targets WHERE credential = credentials.seq)`,
      now,
    )
    .toArray()
  if (rows.length > 0)
    ctx.transact(() => {
      for (const { seq } of rows) settleTargets(ctx.sql, seq, 'expired')
    })
}

export const revokingJobs = (ctx: TenantContext) => ({ [REVOKE_JOB]: (job: Job) => revokingJob(ctx, job) })

/** A credential whose row could not be stored. No caller was given it; Cloudflare is asked to revoke it, up to five times. */
export async function revokeUnrecorded(ctx: TenantContext, key: OpenedKey, username: string): Promise<void> {
  for (let attempt = 0; attempt < UNRECORDED_ATTEMPTS; attempt++) {
    if (!(await askUpstream(ctx, key, username))) return
    await pause(250 * 2 ** attempt)
  }
}

/** Inside a transaction: Cloudflare answered 204. */
function confirm(ctx: TenantContext, row: CredentialRow): void {
  if (credentialById(ctx.sql, row.id)?.state !== 'revoking') return
  const now = ctx.now()
  markRevoked(ctx.sql, row.seq)
  settleTargets(ctx.sql, row.seq, 'revoked')
  countUsage(ctx.sql, now, 'revoked')
  audit(ctx.sql, now, {
    actor: 'broker',
    action: 'credential.revoked',
    target: row.id,
    subjectId: row.subject_id,
    outcome: 'done',
  })
}

async function askUpstream(ctx: TenantContext, key: OpenedKey, username: string): Promise<NotRevoked | undefined> {
  try {
    return await ctx.revocationSemaphore.run(TURN_MS, async () => {
      const reply = await ctx.credentials.revoke(key, username, REVOKE_DEADLINE_MS)
      if (reply.kind === 'ok') return
      return { why: reply.kind === 'refused' ? 'refused' : 'for-now', failure: failureOf(reply) }
    })
  } catch (error) {
    return { why: 'for-now', failure: error instanceof BrokerError ? error.failure : { code: 'internal' } }
  }
}
