/** Writes what the state machine decides: state, columns, jobs, audit and the answer to repeats, in one transaction. */
import { actorOf } from '../../auth/caller.ts'
import type { Reply } from '../../cloudflare/reply.ts'
import { mergePolicy } from '../../contract/policy/policy.ts'
import type { Call } from '../../rpc/calls.ts'
import { audit } from '../../storage/audit.ts'
import { recordChange } from '../core/changes.ts'
import type { TenantContext } from '../core/context.ts'
import { noteRootKey } from '../core/rootKeyUse.ts'
import { raiseEpoch, setPolicy, tenantRecord } from '../core/tenantRow.ts'
import { beginRevoking, ofKey } from '../ledger/revocation.ts'
import { keyBySeq, type TurnKeyRow, visibleKeys } from '../turnKeys/rows.ts'
import { moveKey, writeColumns } from '../turnKeys/writes.ts'
import { next } from './machine/next.ts'
import { type KeyEvent, type KeyFacts, type Said, SETTLE_JOB, type Step } from './machine/vocabulary.ts'

/** The `Idempotency-Key` scope of creations. */
export const CREATE_ROUTE = 'turn-keys'
/** The scope of rotations contains the key's uid, because the body does not name the key. */
export const rotateRoute = (uid: string): string => `rotate:${uid}`

function routeOf(sql: SqlStorage, { replaces }: TurnKeyRow): string {
  const old = replaces === null ? undefined : keyBySeq(sql, replaces)
  return old ? rotateRoute(old.uid ?? '') : CREATE_ROUTE
}

/** What an event would lead to now. Writes nothing. */
export const foresee = (ctx: Pick<TenantContext, 'now'>, row: TurnKeyRow, event: KeyEvent): Step =>
  next(factsOf(row), event, ctx.now())

/** Feeds the state machine one event about a key and writes its step. `by`: the caller; without it the broker acts. */
export const transition = (ctx: TenantContext, row: Pick<TurnKeyRow, 'seq'>, event: KeyEvent, by?: Call): Step =>
  ctx.transact(() => transitionInTransaction(ctx, row, event, by))

/** The same inside a transaction. The row is read again, because an await may lie between. */
export function transitionInTransaction(
  ctx: TenantContext,
  { seq }: Pick<TurnKeyRow, 'seq'>,
  event: KeyEvent,
  by?: Call,
): Step {
  const row = keyBySeq(ctx.sql, seq)
  const now = ctx.now()
  const step = next(row ? factsOf(row) : GONE, event, now)
  if (!row) return step
  const { to, set, jobs = [], repeat } = step
  if (set) writeColumns(ctx.sql, seq, set)
  noteRootKey(ctx, set?.sealed ?? null)
  if (to) moveKey(ctx.sql, row, to, now)
  // The key left `active`: mints in flight check again before they commit.
  if (to && row.state === 'active') raiseEpoch(ctx)
  const uid = set?.uid ?? row.uid ?? ''
  if (step.demote) demote(ctx, uid)
  if (step.handOver) for (const mint of ctx.memory.mintsInFlight) if (mint.keyUid === uid) mint.replaced = true
  // Mints that are handed over are not marked as revoked: they ask the successor.
  if (step.takeBack) beginRevoking(ctx, step.handOver ? { ...ofKey(uid), inFlight: () => false } : ofKey(uid), null)
  for (const { kind, at } of jobs) {
    const on = kind === SETTLE_JOB ? row.intent : uid
    if (at === 'over') ctx.jobs.remove(kind, on)
    else ctx.jobs.put(kind, on, at)
  }
  if (repeat === 'forget') ctx.idempotency.forget(routeOf(ctx.sql, row), row.intent)
  else if (repeat) ctx.idempotency.finish(routeOf(ctx.sql, row), row.intent, repeat)
  if (step.change) recordChange(ctx, by, step.change, uid)
  if (step.audit) {
    const who = by ? { actor: actorOf(by.caller), requestId: by.requestId } : { actor: 'broker' }
    audit(ctx.sql, now, { target: row.uid ?? row.intent, ...who, ...step.audit })
  }
  return step
}

/** Cloudflare's reply about a key, as the state machine takes it. */
export const said = (reply: Reply<{ readonly modified: string }>): Said =>
  reply.kind === 'ok' ? { kind: 'ok', modified: reply.value.modified } : reply

/** The facts of a row that was deleted: its key had ended. */
const GONE: KeyFacts = {
  state: 'deleted',
  name: '',
  pendingName: null,
  hasSecret: false,
  replaces: false,
  replaced: false,
  looks: 0,
  begunAt: 0,
}

const factsOf = (row: TurnKeyRow): KeyFacts => ({
  state: row.state,
  name: row.name,
  pendingName: row.pending_name,
  hasSecret: row.uid !== null && row.sealed !== null,
  replaces: row.replaces !== null,
  replaced: row.successor !== null,
  looks: row.looks,
  begunAt: row.begun_at,
})

/** Where the policy names this key as default, the newest active key becomes the default. */
function demote(ctx: TenantContext, uid: string): void {
  const { chosen } = tenantRecord(ctx)
  if (chosen.defaultKeyId !== uid) return
  const newest = visibleKeys(ctx.sql).find((key) => key.state === 'active')
  setPolicy(ctx, mergePolicy(chosen, { defaultKeyId: newest?.uid ?? null }))
}
