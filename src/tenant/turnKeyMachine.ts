/**
 * The machine of a TURN key: which event, in which state, leads where, and what must be written with it. Pure and total:
 * no rows, no upstream, no clock of its own. `turnKeySteps.ts` writes a step; the files of the operations do what is
 * awaited and tell the machine what came of it.
 */
import { failureOf } from '../cloudflare/failures.ts'
import type { NoReply } from '../cloudflare/reply.ts'
import { type Failure, noSuchTurnKey } from '../errors.ts'
import type { AuditEvent } from '../storage/audit.ts'
import { isVisible, LOOK_AFTER_MS, type TurnKeyState } from './turnKeyStates.ts'
import {
  proved,
  type RETIRE_JOB,
  type ROTATE_JOB,
  replaced,
  retired,
  type SuccessionEvent,
  toBeProven,
} from './turnKeySuccession.ts'

export const SETTLE_JOB = 'settle-creation'
export const REMOVE_JOB = 'remove-turn-key'
export const RENAME_JOB = 'rename-turn-key'
/** The job takes over when the request that ordered something is surely gone. */
export const TAKEOVER_MS = 20_000
const PENDING_RETRY_SECONDS = 5
const SOONEST_LOOK_MS = 1_000

/** All that a decision may rest on. */
export interface KeyFacts {
  readonly state: TurnKeyState
  readonly name: string
  readonly pendingName: string | null
  /** Its uid and secret are stored. */
  readonly hasSecret: boolean
  /** It was made to take another key's place. */
  readonly replaces: boolean
  /** Another key has taken its place. */
  readonly replaced: boolean
  readonly looks: number
  readonly begunAt: number
}

/** What upstream says of a key, as far as it matters here. */
export type Said = { readonly kind: 'ok'; readonly modified: string } | NoReply

export type KeyEvent =
  /** Upstream made the key and its secret is sealed; `refusal`: what the creation rested on was taken away meanwhile. */
  | {
      readonly kind: 'created'
      readonly columns: KeyColumns
      readonly uid: string
      readonly refusal: Failure | undefined
    }
  /** Upstream refused to make it. */
  | { readonly kind: 'refused'; readonly failure: Failure }
  /** It was asked to make it, and nobody knows what it did. */
  | { readonly kind: 'doubted' }
  /** Its list was searched for the marker; so many strays were found, and are gone. */
  | { readonly kind: 'looked'; readonly undone: number }
  | { readonly kind: 'removal-ordered'; readonly inMs: number }
  /** What it minted was taken back, but for so many; `possible`: trying again may take back the rest. */
  | { readonly kind: 'taken-back'; readonly pending: number; readonly possible: boolean }
  | { readonly kind: 'removed'; readonly reply: { readonly kind: 'ok' } | NoReply }
  | { readonly kind: 'rename-ordered'; readonly name: string }
  | { readonly kind: 'renamed'; readonly name: string; readonly reply: Said }
  | { readonly kind: 'checked'; readonly reply: Said }
  | SuccessionEvent

/** Columns of the row that a step writes; `turnKeyRows.ts` says what they are. */
export interface KeyColumns {
  readonly uid?: string
  readonly name?: string
  readonly pending_name?: string | null
  readonly sealed?: string | null
  readonly secret_version?: number
  readonly created?: string
  readonly modified?: string
  readonly looks?: number
  readonly checked_at?: number
}

export type KeyJob = typeof SETTLE_JOB | typeof REMOVE_JOB | typeof RENAME_JOB | typeof ROTATE_JOB | typeof RETIRE_JOB

/** What an event leads to. All of it is written in one transaction; nothing in it is awaited. */
export interface Step {
  readonly to?: TurnKeyState
  readonly set?: KeyColumns
  readonly jobs?: readonly { readonly kind: KeyJob; readonly at: number | 'over' }[]
  /** What a repeat of the creation with its `Idempotency-Key` is told from now on; `forget`: it may begin anew. */
  readonly repeat?: Failure | 'forget'
  /** What whoever waits is told. */
  readonly failure?: Failure
  /** What it minted stops being live, and mints in flight find out. */
  readonly takeBack?: true
  /** Mints in flight with it are asked of its successor. */
  readonly handOver?: true
  /** It cannot be the default key any more. */
  readonly demote?: true
  /** A change of the tenant, made by whoever asked: version, audit, report. */
  readonly change?: string
  readonly audit?: Pick<AuditEvent, 'action' | 'outcome' | 'code' | 'target'>
}

export const NOTHING: Step = {}

/** Nobody knows what upstream did. */
export const IN_DOUBT: Failure = {
  code: 'outcome_unknown',
  doNotRepeat: true,
  detail: 'The creation is in doubt and is being settled. Repeat it only with the same Idempotency-Key.',
}

/** What a caller is told who asks again after the doubt was settled. */
export const SETTLED: Failure = {
  code: 'upstream_failed',
  detail: 'The creation was in doubt and has been undone: there is no TURN key from it.',
  doNotRepeat: true,
}

const NO_SUCH_KEY = noSuchTurnKey().failure

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
    case 'proved':
      return proved(key, event, now)
    case 'replaced':
      return replaced(key, event, now)
    case 'retired':
      return retired(key, event, now)
  }
}

function created(key: KeyFacts, { columns, uid, refusal }: KeyEvent & { kind: 'created' }, now: number): Step {
  const set = { ...columns, uid, checked_at: now }
  const settled = { kind: SETTLE_JOB, at: 'over' } as const
  if (!refusal && key.replaces) {
    const proof = toBeProven(uid, now)
    return { ...proof, set, jobs: [settled, ...(proof.jobs ?? [])] }
  }
  if (!refusal) return { to: 'active', set, jobs: [settled], audit: { ...CREATE, outcome: 'done', target: uid } }
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

/** Told to wait, the caller may try again, also under the same `Idempotency-Key`; any other refusal is final. */
function refused(failure: Failure): Step {
  const final: Failure = failure.retryAfterSeconds === undefined ? { ...failure, doNotRepeat: true } : failure
  return {
    to: 'failed',
    jobs: [{ kind: SETTLE_JOB, at: 'over' }],
    repeat: final.doNotRepeat ? final : 'forget',
    failure: final,
    audit: { ...CREATE, outcome: 'failed', code: final.code },
  }
}

const doubted: Step = {
  to: 'unknown',
  failure: IN_DOUBT,
  audit: { ...CREATE, outcome: 'unknown', code: IN_DOUBT.code },
}

/** Lists lag: an absence is believed only after the last of the looks. */
function looked(key: KeyFacts, undone: number, now: number): Step {
  const over = [{ kind: SETTLE_JOB, at: 'over' }] as const
  const audit = { action: undone > 0 ? 'turn_key.undo' : 'turn_key.give_up', outcome: 'done' } as const
  if (key.state !== 'unknown') return undone > 0 ? { jobs: over, audit } : { jobs: over }
  const again = LOOK_AFTER_MS[key.looks + 1]
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

/** A key upstream no longer knows is removed. */
function removed(reply: { readonly kind: 'ok' } | NoReply): Step {
  if (reply.kind !== 'ok' && reply.kind !== 'gone') return { failure: failureOf(reply) }
  return {
    to: 'deleted',
    set: { sealed: null },
    jobs: [{ kind: REMOVE_JOB, at: 'over' }],
    audit: { action: 'turn_key.deleted', outcome: 'done' },
  }
}

function renameOrdered(key: KeyFacts, name: string, now: number): Step {
  if (!isVisible(key.state)) return { failure: NO_SUCH_KEY }
  if (name === key.name && key.pendingName === null) return NOTHING
  return {
    set: { pending_name: name },
    jobs: [{ kind: RENAME_JOB, at: now + TAKEOVER_MS }],
    change: 'turn_key.rename',
  }
}

function renamed(key: KeyFacts, { name, reply }: KeyEvent & { kind: 'renamed' }, now: number): Step {
  if (reply.kind === 'doubtful' || reply.kind === 'rate-limited') return { failure: failureOf(reply) }
  // A newer rename, ordered meanwhile, has its own turn and keeps the job.
  const newer = key.pendingName !== name
  const answered: Step = newer ? NOTHING : { set: { pending_name: null }, jobs: [{ kind: RENAME_JOB, at: 'over' }] }
  if (reply.kind === 'refused') {
    const audit = { action: 'turn_key.rename', outcome: 'failed', code: 'upstream_failed' } as const
    return { ...answered, failure: failureOf(reply), audit }
  }
  const seen = checked(key, reply, now)
  const set = { ...answered.set, ...seen.set, ...(reply.kind === 'ok' ? { name } : {}) }
  const jobs = [...(answered.jobs ?? []), ...(seen.jobs ?? [])]
  return { ...seen, set, jobs, ...(reply.kind === 'gone' ? { failure: NO_SUCH_KEY } : {}) }
}

/** What upstream does not clearly say changes nothing. */
function checked(key: KeyFacts, reply: Said, now: number): Step {
  if (reply.kind === 'ok') {
    const set = { modified: reply.modified, checked_at: now }
    if (key.state !== 'missing') return { set }
    const found = { action: 'turn_key.found', outcome: 'done' } as const
    return { set, to: key.replaced ? 'retiring' : 'active', audit: found }
  }
  if (reply.kind !== 'gone') return NOTHING
  if (key.state === 'missing') return { set: { checked_at: now } }
  return {
    to: 'missing',
    set: { checked_at: now },
    // Perhaps it never was, and upstream has one with its marker under another uid.
    jobs: [{ kind: SETTLE_JOB, at: now }],
    demote: true,
    audit: { action: 'turn_key.missing', outcome: 'done' },
  }
}
