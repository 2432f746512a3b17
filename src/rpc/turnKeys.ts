/** Asking the Tenant about TURN keys, and what it answers. */
import type { TurnKeyImport, TurnKeyView } from '../contract/resources/turnKeys.ts'
import type { IdempotencyKey } from '../storage/idempotency.ts'
import type { Call } from './calls.ts'

export interface TurnKeyCreation extends Call {
  readonly name: string
  readonly idempotency: IdempotencyKey | undefined
  /** The client's own count of its attempts, where it sent no `Idempotency-Key`. */
  readonly attempt?: SdkRetry | undefined
}

export interface TurnKeyImportCall extends Call {
  readonly input: TurnKeyImport
  readonly idempotency: IdempotencyKey | undefined
}

export interface TurnKeyRotation extends Call {
  readonly uid: string
  /** Whether the old key and what it minted end at once. */
  readonly revoke: boolean
  readonly idempotency: IdempotencyKey | undefined
  /** The client's own count of its attempts, where it sent no `Idempotency-Key`. */
  readonly attempt: SdkRetry | undefined
}

export interface LookedUp {
  readonly key: TurnKeyView
  /** Where the answer comes from: the copy, a check upstream just now, or a copy upstream could not confirm. */
  readonly from: 'copy' | 'upstream' | 'stale-copy'
  /** Seconds for which the copy needs no check; negative: how long it has been due. */
  readonly ttlSeconds: number
}

/** What the client says of its request. */
export interface SdkRetry {
  readonly count: number
  readonly bodyHash: string
}
