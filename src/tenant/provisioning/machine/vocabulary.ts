/** The types of the state machine: facts, events, steps, jobs. It decides nothing. */

import type { FailedReply } from '../../../cloudflare/reply.ts'
import type { AuditAction } from '../../../contract/resources/auditEvents.ts'
import { type Failure, noSuchTurnKey } from '../../../errors.ts'
import type { AuditEvent } from '../../../storage/audit.ts'
import type { TurnKeyState } from '../../turnKeys/states.ts'
import type { KeyColumns } from '../../turnKeys/writes.ts'

export const SETTLE_JOB = 'settle-creation'
export const REMOVE_JOB = 'remove-turn-key'
export const RENAME_JOB = 'rename-turn-key'
/** When a job takes over: by then the request that ordered it has ended. */
export const TAKEOVER_MS = 20_000

/** Everything a decision may use. */
export interface KeyFacts {
  readonly state: TurnKeyState
  readonly name: string
  readonly pendingName: string | null
  /** Its uid and secret are stored. */
  readonly hasSecret: boolean
  /** It was created to replace another key. */
  readonly replaces: boolean
  /** Another key has replaced it. */
  readonly replaced: boolean
  readonly looks: number
  readonly begunAt: number
}

/** Cloudflare's answer about a key, as far as it matters here. */
export type Said = { readonly kind: 'ok'; readonly modified: string } | FailedReply

export type KeyEvent =
  /** Cloudflare created the key and its secret is sealed. `refusal`: the caller lost the right to it meanwhile. */
  | {
      readonly kind: 'created'
      readonly columns: KeyColumns
      readonly uid: string
      readonly refusal: Failure | undefined
    }
  /** Cloudflare refused to create it. */
  | { readonly kind: 'refused'; readonly failure: Failure }
  /** Cloudflare was asked to create it, and the outcome is unknown. */
  | { readonly kind: 'doubted' }
  /** Cloudflare's list was searched for the marker; `undone`: so many stray keys were found and deleted. */
  | { readonly kind: 'looked'; readonly undone: number }
  | { readonly kind: 'removal-ordered'; readonly inMs: number }
  /** Its credentials were revoked except `pending` ones. `possible`: a retry may revoke the rest. */
  | { readonly kind: 'taken-back'; readonly pending: number; readonly possible: boolean }
  | { readonly kind: 'removed'; readonly reply: { readonly kind: 'ok' } | FailedReply }
  | { readonly kind: 'rename-ordered'; readonly name: string }
  | { readonly kind: 'renamed'; readonly name: string; readonly reply: Said }
  | { readonly kind: 'checked'; readonly reply: Said }
  | CreationEvent
  | SuccessionEvent

export type KeyJob =
  | typeof SETTLE_JOB
  | typeof PROVE_JOB
  | typeof REMOVE_JOB
  | typeof RENAME_JOB
  | typeof ROTATE_JOB
  | typeof RETIRE_JOB

/** What an event leads to. It is written in one transaction, without an await. */
export interface Step {
  readonly to?: TurnKeyState
  readonly set?: KeyColumns
  readonly jobs?: readonly { readonly kind: KeyJob; readonly at: number | 'over' }[]
  /** The answer to a repeat with the creation's `Idempotency-Key` from now on; `forget`: the repeat starts a new creation. */
  readonly repeat?: Failure | 'forget'
  /** The failure for the request that waits. */
  readonly failure?: Failure
  /** Its credentials are revoked, and mints in flight are marked. */
  readonly takeBack?: true
  /** Mints in flight with it are asked of its successor instead. */
  readonly handOver?: true
  /** It is no longer the default key. */
  readonly demote?: true
  /** The audit action of a change that others must hear of: raises the version, reports to the Account. */
  readonly change?: AuditAction
  readonly audit?: Pick<AuditEvent, 'action' | 'outcome' | 'code' | 'target'>
}

export const NOTHING: Step = {}

/** The outcome at Cloudflare is unknown. */
export const IN_DOUBT: Failure = {
  code: 'outcome_unknown',
  doNotRepeat: true,
  detail: 'The creation is in doubt and is being settled. Repeat it only with the same Idempotency-Key.',
}

/** For a repeat after the unknown outcome was settled: the creation failed. */
export const SETTLED: Failure = {
  code: 'upstream_failed',
  detail: 'The creation was in doubt and has been undone: there is no TURN key from it.',
  doNotRepeat: true,
}

export const NO_SUCH_KEY = noSuchTurnKey().failure

export const PROVE_JOB = 'prove-turn-key'

/** The first mint with a created key. `refusal`: the right to the key was lost meanwhile. `isAwaited`: the caller still waits. */
export interface CreationEvent {
  readonly kind: 'tried'
  readonly reply: { readonly kind: 'ok' } | FailedReply
  readonly refusal: Failure | undefined
  readonly isAwaited: boolean
}

export const ROTATE_JOB = 'rotate-turn-key'
export const RETIRE_JOB = 'retire-turn-key'

export type SuccessionEvent =
  /** The proof minted, or failed. `old`: the facts of the key to be replaced, if it still can be. */
  | {
      readonly kind: 'proved'
      readonly reply: { readonly kind: 'ok' } | FailedReply
      readonly old: { readonly name: string } | undefined
    }
  /** Another key mints in its place from now on. */
  | { readonly kind: 'replaced'; readonly revoke: boolean; readonly lastExpiry: number | null }
  /** The job looked when the last of its credentials expires. */
  | { readonly kind: 'retired'; readonly lastExpiry: number | null }
