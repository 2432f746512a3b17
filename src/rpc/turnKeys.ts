/** RPC messages of TURN keys. */
import type { TurnKeyImport, TurnKeyView } from '../contract/resources/turnKeys.ts'
import type { IdempotencyKey } from '../storage/idempotency.ts'
import type { Call } from './calls.ts'

export interface TurnKeyCreation extends Call {
  readonly name: string
  readonly idempotency: IdempotencyKey | undefined
  /** The SDK's retry count, if the request has no `Idempotency-Key`. */
  readonly attempt?: SdkRetry | undefined
}

export interface TurnKeyImportCall extends Call {
  readonly input: TurnKeyImport
  readonly idempotency: IdempotencyKey | undefined
}

export interface TurnKeyRotation extends Call {
  readonly uid: string
  /** Whether the old key is deleted and its credentials are revoked at once. */
  readonly revoke: boolean
  readonly idempotency: IdempotencyKey | undefined
  /** The SDK's retry count, if the request has no `Idempotency-Key`. */
  readonly attempt: SdkRetry | undefined
}

export interface LookedUp {
  readonly key: TurnKeyView
  /** Source of the answer: a fresh copy, upstream just now, or a stale copy that upstream could not confirm. */
  readonly from: 'copy' | 'upstream' | 'stale-copy'
  /** Seconds for which the copy stays fresh; negative: for how long it has been stale. */
  readonly ttlSeconds: number
}

/** Automatic retry of Cloudflare's SDK: its retry count, and the hash of the body. */
export interface SdkRetry {
  readonly count: number
  readonly bodyHash: string
}
