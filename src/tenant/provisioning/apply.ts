/** Writes what the machine decides: state, columns, jobs, audit and the answer to repeats, in one transaction. */
import { actorOf } from '../../auth/caller.ts'
import type { Reply } from '../../cloudflare/reply.ts'
import { mergePolicy } from '../../contract/policy/policy.ts'
import type { Call } from '../../rpc/calls.ts'
import { audit } from '../../storage/audit.ts'
import { recordChange } from '../core/changes.ts'
import type { TenantContext } from '../core/context.ts'
import { noteRootKey } from '../core/rootKeyUse.ts'
import { tenantRecord } from '../core/tenantRow.ts'
import { beginRevoking, ofKey } from '../ledger/revocation.ts'
import { keyBySeq, moveKey, type TurnKeyRow, visibleKeys, writeColumns } from '../turnKeys/rows.ts'
import { next } from './machine/next.ts'
import { type KeyEvent, type KeyFacts, type Said, SETTLE_JOB, type Step } from './machine/vocabulary.ts'

/** The `Idempotency-Key` scope of creations. */
export const CREATE_ROUTE = 'turn-keys'
/** That of rotations names the key: a body alone does not say what is rotated. */
export const rotateRoute = (uid: string): string => `rotate:${uid}`

function routeOf(sql: SqlStorage, { replaces }: TurnKeyRow): string {
  const old = replaces === null ? undefined : keyBySeq(sql, replaces)
  return old ? rotateRoute(old.uid ?? '') : CREATE_ROUTE
}

/** Feeds the machine one event about a key and writes its step. `by`: who asked; without, the broker itself did. */
export const transition = (ctx: TenantContext, row: Pick<TurnKeyRow, 'seq'>, event: KeyEvent, by?: Call): Step =>
  ctx.transact(() => transitionInTransaction(ctx, row, event, by))

/** The same inside a transaction. The row is read anew: what was awaited since may have changed it. */
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
  // It mints no more: what is in flight with it finds out before it commits.
  if (to && row.state === 'active') ctx.sql.exec('UPDATE tenant SET epoch = epoch + 1')
  const uid = set?.uid ?? row.uid ?? ''
  if (step.demote) demote(ctx, uid)
  if (step.handOver) for (const mint of ctx.memory.mintsInFlight) if (mint.keyUid === uid) mint.replaced = true
  // What is handed over is not refused as revoked: the successor is asked in its place.
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

/** Upstream's reply about a key, as the machine wants it. */
export const said = (reply: Reply<{ readonly modified: string }>): Said =>
  reply.kind === 'ok' ? { kind: 'ok', modified: reply.value.modified } : reply

/** A row that is gone was finally over. */
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

/** Where the policy names this key, the newest active one takes its place. */
function demote(ctx: TenantContext, uid: string): void {
  const { chosen } = tenantRecord(ctx)
  if (chosen.defaultKeyId !== uid) return
  const newest = visibleKeys(ctx.sql).find((key) => key.state === 'active')
  const policy = mergePolicy(chosen, { defaultKeyId: newest?.uid ?? null })
  ctx.sql.exec('UPDATE tenant SET policy = ?', JSON.stringify(policy))
}
