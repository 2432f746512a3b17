/** The words of the machine: facts, events, steps, jobs. No decision. */
import type { FailedReply } from '../../../cloudflare/reply.ts'
import { type Failure, noSuchTurnKey } from '../../../errors.ts'
import type { AuditEvent } from '../../../storage/audit.ts'
import type { KeyColumns } from '../../turnKeys/rows.ts'
import type { TurnKeyState } from '../../turnKeys/states.ts'

export const SETTLE_JOB = 'settle-creation'
export const REMOVE_JOB = 'remove-turn-key'
export const RENAME_JOB = 'rename-turn-key'
/** The job takes over when the request that ordered something is surely gone. */
export const TAKEOVER_MS = 20_000

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
export type Said = { readonly kind: 'ok'; readonly modified: string } | FailedReply

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
  | { readonly kind: 'removed'; readonly reply: { readonly kind: 'ok' } | FailedReply }
  | { readonly kind: 'rename-ordered'; readonly name: string }
  | { readonly kind: 'renamed'; readonly name: string; readonly reply: Said }
  | { readonly kind: 'checked'; readonly reply: Said }
  | SuccessionEvent

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

export const NO_SUCH_KEY = noSuchTurnKey().failure

export const ROTATE_JOB = 'rotate-turn-key'
export const RETIRE_JOB = 'retire-turn-key'

export type SuccessionEvent =
  /** It minted, or did not; `old`: the key to be replaced as it stands, if it still can be. */
  | {
      readonly kind: 'proved'
      readonly reply: { readonly kind: 'ok' } | FailedReply
      readonly old: { readonly name: string } | undefined
    }
  /** Another key stands for it from now on. */
  | { readonly kind: 'replaced'; readonly revoke: boolean; readonly lastExpiry: number | null }
  /** It was looked whether what it minted has expired. */
  | { readonly kind: 'retired'; readonly lastExpiry: number | null }
