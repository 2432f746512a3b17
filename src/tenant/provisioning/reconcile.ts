/**
 * The Tenant's part of the sweep: it compares each listed key with its own rows and acts on the difference. A key is deleted
 * only where a final row says that it must not exist. A key that is not listed proves nothing: one GET settles that. The
 * row is read again right before the deletion.
 */
import type { ReconcileOrder, Reconciliation, SweptKey } from '../../rpc/sweep.ts'
import { audit } from '../../storage/audit.ts'
import type { Job, JobOutcome } from '../../storage/jobs.ts'
import { sendPaid, spendCall } from '../core/apiCalls.ts'
import type { TenantContext } from '../core/context.ts'
import { publishKey } from '../turnKeys/cacheEntry.ts'
import { keyByIntent, keyByUid, type NamedTurnKeyRow, type TurnKeyRow, visibleKeys } from '../turnKeys/rows.ts'
import { check } from './lookup.ts'
import { SETTLE_JOB } from './machine/vocabulary.ts'

const UNDO_JOB = 'undo-upstream-key'
const REMOVE_DEADLINE_MS = 8_000
/** A state younger than this may be compared with a list, or an answer, from before it. */
const SETTLED_MS = 600_000

export type Verdict =
  /** Consistent, or being worked on. */
  | 'kept'
  /** A creation whose outcome is unknown made this key: its own job deletes it. */
  | 'doubtful'
  /** A final row says that this key must not exist. */
  | 'orphan'
  /** Stored as missing, and listed. */
  | 'found'
  | 'stranger'

/** What a listed key is to the tenant, by the row of its uid, or else of its intent. Pure. */
export function verdictOf(row: TurnKeyRow | undefined, listed: SweptKey, now: number): Verdict {
  if (!row) return 'stranger'
  const isItself = row.uid === listed.uid
  const isSettled = now - row.state_at >= SETTLED_MS
  switch (row.state) {
    case 'creating':
    case 'deleting':
      return 'kept'
    case 'unknown':
      return 'doubtful'
    case 'active':
    case 'retiring':
      // One intent makes one key: another key with the same marker is an orphan.
      return isItself || !isSettled ? 'kept' : 'orphan'
    case 'missing':
      if (isItself) return 'found'
      return isSettled ? 'orphan' : 'kept'
    case 'deleted':
      return isSettled ? 'orphan' : 'kept'
    case 'failed':
      // The row of a failed import has a uid too: only a key that this very creation made may be deleted.
      if (listed.intent !== row.intent) return 'stranger'
      return isSettled ? 'orphan' : 'kept'
  }
}

/** Whether Cloudflare must be asked for a key that is not listed: it should exist, and long enough to be listed. */
export function isAbsent(row: NamedTurnKeyRow, listed: ReadonlySet<string>, listedAt: number): boolean {
  const since = Math.max(row.begun_at, row.state_at, row.checked_at ?? 0)
  return row.state !== 'missing' && !listed.has(row.uid) && since <= listedAt - SETTLED_MS
}

export async function reconcileKeys(
  ctx: TenantContext,
  { keys, listedAt, checks }: ReconcileOrder,
): Promise<Reconciliation> {
  const judged = keys.map((listed) => ({ ...listed, verdict: judge(ctx, listed) }))
  ctx.transact(() => {
    for (const { uid, intent, verdict } of judged) {
      if (verdict === 'orphan') ctx.jobs.ensure(UNDO_JOB, nameOf({ uid, intent }), ctx.now())
      if (verdict === 'doubtful' && intent !== null) ctx.jobs.put(SETTLE_JOB, intent, ctx.now())
    }
  })
  const listed = new Set(keys.map(({ uid }) => uid))
  const absent = visibleKeys(ctx.sql)
    .filter((row) => isAbsent(row, listed, listedAt))
    .sort((left, right) => (left.checked_at ?? 0) - (right.checked_at ?? 0))
  const found = judged.filter(({ verdict }) => verdict === 'found')
  const asked = [...absent, ...found].slice(0, checks)
  let checked = 0
  for (const { uid } of asked) if (await confirm(ctx, uid)) checked++

  const missing = visibleKeys(ctx.sql).filter(({ state }) => state === 'missing')
  const reported = judged.flatMap(({ uid, verdict }) =>
    verdict === 'orphan' || verdict === 'stranger' ? [{ uid, class: verdict }] : [],
  )
  return {
    findings: [...reported, ...missing.map(({ uid }) => ({ uid, class: 'missing' as const }))],
    checked,
  }
}

export const reconcileJobs = (ctx: TenantContext) => ({ [UNDO_JOB]: (job: Job) => deleteOrphan(ctx, job) })

/** Deletes an orphan, if it still is one. */
function deleteOrphan(ctx: TenantContext, { key }: Job): Promise<JobOutcome> {
  const listed = listedOf(key)
  return ctx.mutex.run(listed.uid, async () => {
    if (judge(ctx, listed) !== 'orphan') return 'done'
    await spendCall(ctx, 'recovery')
    if (judge(ctx, listed) !== 'orphan') return 'done'
    const reply = await sendPaid(ctx, 'recovery', () => ctx.turnKeys.remove(listed.uid, REMOVE_DEADLINE_MS))
    if (reply.kind !== 'ok' && reply.kind !== 'gone') return 'retry'
    ctx.transact(() =>
      audit(ctx.sql, ctx.now(), { actor: 'broker', action: 'turn_key.undo', target: listed.uid, outcome: 'done' }),
    )
    return 'done'
  })
}

const judge = (ctx: TenantContext, listed: SweptKey): Verdict =>
  verdictOf(
    keyByUid(ctx.sql, listed.uid) ?? (listed.intent === null ? undefined : keyByIntent(ctx.sql, listed.intent)),
    listed,
    ctx.now(),
  )

/** One GET, if the budget has it; whether it was sent. Only a clear answer changes a state; a key that is being deleted is left to its job. */
async function confirm(ctx: TenantContext, uid: string): Promise<boolean> {
  const before = keyByUid(ctx.sql, uid)?.state
  // It throws when the key was deleted while Cloudflare was asked.
  const sent = await check(ctx, uid, 'recovery').catch(() => true)
  if (keyByUid(ctx.sql, uid)?.state !== before) await publishKey(ctx, uid)
  return sent
}

/** Neither a uid nor an intent has a dot. */
const nameOf = ({ uid, intent }: SweptKey): string => `${uid}.${intent ?? ''}`
const listedOf = (name: string): SweptKey => {
  const [uid = '', intent = ''] = name.split('.')
  return { uid, intent: intent === '' ? null : intent }
}
