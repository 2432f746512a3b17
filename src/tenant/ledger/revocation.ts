/**
 * Taking credentials back. First they stop being live here, durably; then a job tells upstream until it said 204 or the
 * credential has expired. Cloudflare has no list and no bulk revocation: the ledger is the only record there is.
 */
import { failureOf } from '../../cloudflare/failures.ts'
import { BrokerError, type Failure } from '../../errors.ts'
import { audit } from '../../storage/audit.ts'
import type { Job, JobOutcome } from '../../storage/jobs.ts'
import type { ReadContext, TenantContext } from '../core/context.ts'
import type { MintInFlight } from '../memory/mintInFlight.ts'
import { keyByUid } from '../turnKeys/rows.ts'
import { type OpenedKey, openKey } from '../turnKeys/secret.ts'
import { type CredentialRow, credentialById } from './credentialRows.ts'
import { countUsage } from './usage.ts'

const REVOKE_JOB = 'revoke-credentials'
const REVOKE_DEADLINE_MS = 4_000
/** How long a call waits for its turn at the gate. */
const TURN_MS = 8_000
const PER_RUN = 50
const RUN_MS = 15_000
const LONGEST_PAUSE_MS = 30_000
const UNRECORDED_ATTEMPTS = 5
/** How often is looked whether mints in flight have landed. */
const LANDING_LOOK_MS = 25

export const scheduleRevoking = (ctx: Pick<TenantContext, 'jobs' | 'now'>): void =>
  ctx.jobs.put(REVOKE_JOB, '', ctx.now())

/** Which credentials: a condition on the ledger's columns, and the same of mints that have no row yet. */
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

/** Inside a transaction: what is selected is live no more, and mints in flight will find out. How many were met. */
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
  // A password that nobody may be given again is erased with the same stroke.
  ctx.sql.exec(
    `UPDATE credentials SET state = 'revoking', sealed = NULL WHERE state = 'live' AND ${met}`,
    now,
    ...bindings,
  )
  ctx.sql.exec('UPDATE tenant SET epoch = epoch + 1')
  scheduleRevoking(ctx)
  const { matched } = ctx.sql
    .exec<{ matched: number }>(
      `SELECT count(*) AS matched FROM credentials WHERE state = 'revoking' AND ${met}`,
      now,
      ...bindings,
    )
    .one()
  if (revocation !== null && matched > 0) {
    ctx.sql.exec(
      `INSERT INTO revocation_targets (credential, revocation) SELECT seq, ? FROM credentials WHERE state = 'revoking' AND ${met}`,
      revocation,
      now,
      ...bindings,
    )
  }
  return matched
}

/** How many credentials of a key upstream has not confirmed yet; a mint in flight may become one. */
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

/** Tells upstream of a key's pending credentials until the time is over or one fails; answers why that one did. */
export async function revokeOfKey(ctx: TenantContext, uid: string, until: number): Promise<NotRevoked | undefined> {
  while (inFlightOfKey(ctx, uid) > 0 && ctx.now() < until) {
    await new Promise((resolve) => setTimeout(resolve, LANDING_LOOK_MS))
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

/** `why`: upstream refused, nothing here can open the key's secret, or it may work the next time. */
export interface NotRevoked {
  readonly why: 'refused' | 'unreadable' | 'for-now'
  readonly failure: Failure
}

/** Tells upstream of one credential now. `undefined` when it is gone there. */
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

/** The job: a bounded share of what is pending, the longest untried first, so that one that fails keeps none waiting. */
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
    ctx.transact(() => ctx.sql.exec('UPDATE credentials SET tried_at = ? WHERE seq = ?', ctx.now(), row.seq))
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
  // What is left was minted with keys that are gone, and their secrets with them: it ends by itself.
  if (rows.length === 0) return { againAt: last }
  const pause = failed === 0 ? 0 : Math.min(500 * 2 ** Math.min(attempt, 10), LONGEST_PAUSE_MS)
  return { againAt: now + pause }
}

/** What expired before upstream could be told is over too; its row goes when the ledger is pruned. */
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
      for (const { seq } of rows) settleTargets(ctx, seq, 'expired')
    })
}

export const revokingJobs = (ctx: TenantContext) => ({ [REVOKE_JOB]: (job: Job) => revokingJob(ctx, job) })

/** A credential without a row: its record could not be stored. Nobody was told it; it is taken back all the same. */
export async function revokeUnrecorded(ctx: TenantContext, key: OpenedKey, username: string): Promise<void> {
  for (let attempt = 0; attempt < UNRECORDED_ATTEMPTS; attempt++) {
    if (!(await askUpstream(ctx, key, username))) return
    await new Promise((resolve) => setTimeout(resolve, 250 * 2 ** attempt))
  }
}

/** Inside a transaction: upstream said 204. */
function confirm(ctx: TenantContext, row: CredentialRow): void {
  if (credentialById(ctx.sql, row.id)?.state !== 'revoking') return
  const now = ctx.now()
  ctx.sql.exec("UPDATE credentials SET state = 'revoked' WHERE seq = ?", row.seq)
  settleTargets(ctx, row.seq, 'revoked')
  countUsage(ctx.sql, now, 'revoked')
  audit(ctx.sql, now, {
    actor: 'broker',
    action: 'credential.revoked',
    target: row.id,
    subjectId: row.subject_id,
    outcome: 'done',
  })
}

/** Tells the revocations that met a credential what became of it. Inside a transaction. */
export function settleTargets(ctx: Pick<TenantContext, 'sql'>, credential: number, as: 'revoked' | 'expired'): void {
  ctx.sql.exec(
    `UPDATE revocations SET ${as} = ${as} + 1 WHERE seq IN (SELECT revocation FROM revocation_targets WHERE credential = ?)`,
    credential,
  )
  ctx.sql.exec('DELETE FROM revocation_targets WHERE credential = ?', credential)
}

async function askUpstream(ctx: TenantContext, key: OpenedKey, username: string): Promise<NotRevoked | undefined> {
  try {
    return await ctx.revokeGate.run(TURN_MS, async () => {
      const reply = await ctx.credentials.revoke(key, username, REVOKE_DEADLINE_MS)
      if (reply.kind === 'ok') return
      return { why: reply.kind === 'refused' ? 'refused' : 'for-now', failure: failureOf(reply) }
    })
  } catch (error) {
    return { why: 'for-now', failure: error instanceof BrokerError ? error.failure : { code: 'internal' } }
  }
}
