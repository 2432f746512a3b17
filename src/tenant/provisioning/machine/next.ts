/**
 * The state machine of a TURN key: which event, in which state, leads to which state, and what must be written with it. Pure
 * and total: it reads no rows, makes no call and has no clock. apply.ts writes its steps; the files of the operations do what is
 * awaited and feed the outcome in as events.
 */
import { failureOf } from '../../../cloudflare/failures.ts'
import type { FailedReply } from '../../../cloudflare/reply.ts'
import type { Failure } from '../../../errors.ts'
import { isVisible, RECONCILE_AFTER_MS } from '../../turnKeys/states.ts'
import { checked, renamed, renameOrdered } from './answers.ts'
import { toBeTried, tried } from './firstMint.ts'
import { proved, replaced, retired, toBeProven } from './succession.ts'
import {
  IN_DOUBT,
  type KeyEvent,
  type KeyFacts,
  NO_SUCH_KEY,
  NOTHING,
  REMOVE_JOB,
  RENAME_JOB,
  SETTLE_JOB,
  SETTLED,
  type Step,
} from './vocabulary.ts'

const PENDING_RETRY_SECONDS = 5
const SOONEST_LOOK_MS = 1_000

export function next(key: KeyFacts, event: KeyEvent, now: number): Step {
  switch (event.kind) {
    case 'created':
      return key.state === 'creating' ? created(key, event, now) : { failure: IN_DOUBT }
    case 'refused':
      return key.state === 'creating' ? refused(event.failure) : { failure: IN_DOUBT }
    case 'doubted':
      return key.state === 'creating' && !key.hasSecret ? doubted : { failure: IN_DOUBT }
    case 'looked':
      return looked(key, event.undone, now)
    case 'removal-ordered':
      return removalOrdered(key, now + event.inMs)
    case 'taken-back':
      return event.pending > 0 && event.possible ? { failure: BUSY } : NOTHING
    case 'removed':
      return key.state === 'deleting' ? removed(event.reply) : NOTHING
    case 'rename-ordered':
      return renameOrdered(key, event.name, now)
    case 'renamed':
      return isVisible(key.state) ? renamed(key, event, now) : { failure: NO_SUCH_KEY }
    case 'checked':
      return isVisible(key.state) ? checked(key, event.reply, now) : NOTHING
    case 'tried':
      return tried(key, event, now)
    case 'proved':
      return proved(key, event, now)
    case 'replaced':
      return replaced(key, event, now)
    case 'retired':
      return retired(key, event, now)
  }
}

export function created(key: KeyFacts, { columns, uid, refusal }: KeyEvent & { kind: 'created' }, now: number): Step {
  const set = { ...columns, uid, checked_at: now }
  const settled = { kind: SETTLE_JOB, at: 'over' } as const
  if (!refusal) {
    const proof = key.replaces ? toBeProven(uid, now) : toBeTried(uid, now)
    return { ...proof, set, jobs: [settled, ...(proof.jobs ?? [])] }
  }
  return {
    to: 'deleting',
    set,
    jobs: [settled, { kind: REMOVE_JOB, at: now }],
    repeat: refusal,
    failure: refusal,
    audit: { ...CREATE, outcome: 'refused', code: refusal.code, target: uid },
  }
}

const CREATE = { action: 'turn_key.create' } as const

/** After a `Retry-After` the caller may try again, also with the same `Idempotency-Key`. Any other refusal is final. */
export function refused(failure: Failure): Step {
  const final: Failure = failure.retryAfterSeconds === undefined ? { ...failure, doNotRepeat: true } : failure
  return {
    to: 'failed',
    jobs: [{ kind: SETTLE_JOB, at: 'over' }],
    repeat: final.doNotRepeat ? final : 'forget',
    failure: final,
    audit: { ...CREATE, outcome: 'failed', code: final.code },
  }
}

export const doubted: Step = {
  to: 'unknown',
  failure: IN_DOUBT,
  audit: { ...CREATE, outcome: 'unknown', code: IN_DOUBT.code },
}

/** Lists lag: an absence is believed only after the last search. */
export function looked(key: KeyFacts, undone: number, now: number): Step {
  const over = [{ kind: SETTLE_JOB, at: 'over' }] as const
  const audit = { action: undone > 0 ? 'turn_key.undo' : 'turn_key.give_up', outcome: 'done' } as const
  if (key.state !== 'unknown') return undone > 0 ? { jobs: over, audit } : { jobs: over }
  const again = RECONCILE_AFTER_MS[key.looks + 1]
  if (undone === 0 && again !== undefined) {
    const at = Math.max(key.begunAt + again, now + SOONEST_LOOK_MS)
    return { set: { looks: key.looks + 1 }, jobs: [{ kind: SETTLE_JOB, at }] }
  }
  return { to: 'failed', jobs: over, repeat: SETTLED, audit }
}

function removalOrdered({ state, replaced }: KeyFacts, at: number): Step {
  if (state === 'deleting') return NOTHING
  if (!isVisible(state)) return { failure: NO_SUCH_KEY }
  return {
    to: 'deleting',
    set: { pending_name: null },
    jobs: [
      { kind: RENAME_JOB, at: 'over' },
      { kind: REMOVE_JOB, at },
    ],
    takeBack: true,
    ...(replaced ? ({ handOver: true } as const) : {}),
    demote: true,
    change: 'turn_key.delete',
  }
}

const BUSY: Failure = { code: 'broker_busy', retryAfterSeconds: PENDING_RETRY_SECONDS }

/** A key that Cloudflare no longer knows counts as removed. */
export function removed(reply: { readonly kind: 'ok' } | FailedReply): Step {
  if (reply.kind !== 'ok' && reply.kind !== 'gone') return { failure: failureOf(reply) }
  return {
    to: 'deleted',
    set: { sealed: null },
    jobs: [{ kind: REMOVE_JOB, at: 'over' }],
    audit: { action: 'turn_key.deleted', outcome: 'done' },
  }
}
