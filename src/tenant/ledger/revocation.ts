/**
 * Revoking credentials. First they stop being live here, durably; then a job asks Cloudflare until it answers 204 or the
 * credential has expired (revokingJob.ts). Cloudflare has neither a list nor a bulk revocation: the ledger is the only record.
 */
import { failureOf } from '../../cloudflare/failures.ts'
import { pause } from '../../concurrency/deadline.ts'
import { BrokerError, type Failure } from '../../errors.ts'
import { audit } from '../../storage/audit.ts'
import type { TenantContext } from '../core/context.ts'
import { raiseEpoch } from '../core/tenantRow.ts'
import type { SecondCount } from '../memory/ledgerCounts.ts'
import type { MintInFlight } from '../memory/mintInFlight.ts'
import { keyByUid } from '../turnKeys/rows.ts'
import { type OpenedKey, openKey } from '../turnKeys/secret.ts'
import { bulkRevocations, insertBulkRevocation, isTakenBack } from './bulkRevocations.ts'
import { storeCounts, storeHour } from './counts.ts'
import { type CredentialRow, credentialById, markRevoked, markRevoking } from './credentialRows.ts'
import { countBulk, insertTargets, setBulk, settleTargets } from './revocationRows.ts'
import { ledgerSpan, type Scope, unexpiredRows } from './revokingRows.ts'
import { countUsage } from './usage.ts'

export const REVOKE_JOB = 'revoke-credentials'
export const MARK_JOB = 'mark-revoking'
const REVOKE_DEADLINE_MS = 4_000
/** How long a call waits for its turn at the semaphore. */
const TURN_MS = 8_000
const UNRECORDED_ATTEMPTS = 5
/** A ledger of at most this many rows is marked in the transaction of the order. A larger one is marked by a job. */
const ROWS_MARKED_AT_ONCE = 500

export const scheduleRevoking = (ctx: Pick<TenantContext, 'jobs' | 'now'>): void =>
  ctx.jobs.put(REVOKE_JOB, '', ctx.now())

/** Selects credentials: rows of the ledger, and in the same way mints that have no row yet. */
export interface Selection {
  readonly scope: Scope
  readonly inFlight: (mint: MintInFlight) => boolean
}

export const ofSubject = (subjectId: string): Selection => ({
  scope: { subjectId },
  inFlight: (mint) => mint.subjectId === subjectId,
})
export const ofKey = (uid: string): Selection => ({ scope: { keyUid: uid }, inFlight: (mint) => mint.keyUid === uid })
export const ofCredential = (id: string): Selection => ({ scope: { credentialId: id }, inFlight: () => false })
export const everything: Selection = { scope: { keyUid: null }, inFlight: () => true }

/**
 * Inside a transaction: the selected credentials are being revoked from now on, and mints in flight that match are marked, so
 * that none is handed out. Answers how many credentials are being revoked; `revocation` waits for them.
 */
export function beginRevoking(ctx: TenantContext, selection: Selection, revocation: number | null): number {
  for (const mint of ctx.memory.mintsInFlight) if (selection.inFlight(mint)) mint.revoked = true
  const { scope } = selection
  const matched =
    'keyUid' in scope && ledgerSpan(ctx.sql).rows > ROWS_MARKED_AT_ONCE
      ? takeBackByOrder(ctx, scope.keyUid, revocation)
      : takeBackRows(ctx, scope, revocation)
  raiseEpoch(ctx)
  if (matched > 0) scheduleRevoking(ctx)
  return matched
}

/** Marks each row now. The sealed password is erased in the same statement: it is handed out to no caller again. */
function takeBackRows(ctx: TenantContext, scope: Scope, revocation: number | null): number {
  const { sql } = ctx
  // Loaded before the rows change.
  const live = ctx.live()
  const now = ctx.now()
  if ('keyUid' in scope && isNothing(scope.keyUid === null ? live.all(now) : live.ofKey(scope.keyUid, now))) return 0
  const rows = unexpiredRows(sql, scope, now)
  const fresh = rows.filter(({ state }) => state === 'live')
  const bulk = bulkRevocations(sql)
  for (const row of fresh) if (!isTakenBack(bulk, row)) live.takeBack(row.key_uid, row.expires_at)
  // The ledger's order is kept; what was never asked for goes before what a large order marked.
  markRevoking(sql, fresh, 0)
  for (const row of fresh) storeHour(ctx, { keyUid: row.key_uid, expiresAt: row.expires_at })
  if (revocation !== null) insertTargets(sql, revocation, rows)
  return rows.length
}

const isNothing = ({ live, revoking }: SecondCount): boolean => live + revoking === 0

/** Touches no row of the ledger: the order itself takes back everything up to the newest row. A job marks the rows. */
function takeBackByOrder(ctx: TenantContext, keyUid: string | null, revocation: number | null): number {
  const live = ctx.live()
  const now = ctx.now()
  const before = keyUid === null ? live.all(now) : live.ofKey(keyUid, now)
  const matched = before.live + before.revoking
  if (matched === 0) return 0
  const { first, last } = ledgerSpan(ctx.sql)
  if (before.live > 0) {
    insertBulkRevocation(ctx.sql, { keyUid, firstSeq: first, untilSeq: last })
    ctx.jobs.put(MARK_JOB, '', now)
    live.takeBackAll(keyUid)
    storeCounts(ctx)
  }
  if (revocation !== null)
    setBulk(ctx.sql, revocation, {
      keyUid: keyUid ?? '',
      untilSeq: last,
      lastExpiry: live.lastExpiry(keyUid, now) ?? now,
    })
  return matched
}

/** How many revocations of a key's credentials Cloudflare has not confirmed yet. A mint in flight counts: it may become one. */
export const pendingOfKey = (ctx: Pick<TenantContext, 'memory' | 'live' | 'now'>, uid: string): number =>
  inFlightOfKey(ctx, uid) + ctx.live().ofKey(uid, ctx.now()).revoking

export const inFlightOfKey = (ctx: Pick<TenantContext, 'memory'>, uid: string): number =>
  [...ctx.memory.mintsInFlight].filter(({ keyUid }) => keyUid === uid).length

/** `why`: Cloudflare refused, the key's secret does not open, or it may work the next time. */
export interface NotRevoked {
  readonly why: 'refused' | 'unreadable' | 'for-now'
  readonly failure: Failure
}

/** Asks Cloudflare to revoke one credential now, over a connection of `turn`. `undefined`: Cloudflare confirmed. */
export async function revokeNow(
  ctx: TenantContext,
  row: CredentialRow,
  turn = ctx.revocationSemaphore,
): Promise<NotRevoked | undefined> {
  const key = keyByUid(ctx.sql, row.key_uid)
  if (!key) return { why: 'unreadable', failure: { code: 'upstream_failed' } }
  const opened = await openKey(ctx, key).catch(() => undefined)
  if (!opened) return { why: 'unreadable', failure: { code: 'internal' } }
  const failed = await askUpstream({ ...ctx, revocationSemaphore: turn }, opened, row.username)
  if (!failed) ctx.transact(() => confirm(ctx, row))
  return failed
}

type AskingContext = Pick<TenantContext, 'credentials' | 'revocationSemaphore'>

/** A credential whose row could not be stored. No caller was given it; Cloudflare is asked to revoke it, up to five times. */
export async function revokeUnrecorded(ctx: AskingContext, key: OpenedKey, username: string): Promise<void> {
  for (let attempt = 0; attempt < UNRECORDED_ATTEMPTS; attempt++) {
    if (!(await askUpstream(ctx, key, username))) return
    await pause(250 * 2 ** attempt)
  }
}

/** Inside a transaction: Cloudflare answered 204. */
function confirm(ctx: TenantContext, { id, seq }: CredentialRow): void {
  // Loaded before the row changes.
  const live = ctx.live()
  const row = credentialById(ctx.sql, id)
  if (row?.state !== 'revoking') return
  const now = ctx.now()
  markRevoked(ctx.sql, seq)
  live.revoked(row.key_uid, row.expires_at)
  storeHour(ctx, { keyUid: row.key_uid, expiresAt: row.expires_at })
  settleTargets(ctx.sql, seq, 'revoked')
  countBulk(ctx.sql, [row], 'revoked')
  countUsage(ctx.sql, now, 'revoked')
  audit(ctx.sql, now, {
    actor: 'broker',
    action: 'credential.revoked',
    target: row.id,
    subjectId: row.subject_id,
    outcome: 'done',
  })
}

async function askUpstream(ctx: AskingContext, key: OpenedKey, username: string): Promise<NotRevoked | undefined> {
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
