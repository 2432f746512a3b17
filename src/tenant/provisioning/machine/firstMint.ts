/**
 * The state machine's part about the proof of a created key. Pure. The key stays `creating`, with its secret stored, until the
 * secret has minted once. Only a clear no of Cloudflare holds it back: while Cloudflare cannot be asked, nothing speaks against it.
 */
import type { FailedReply } from '../../../cloudflare/reply.ts'
import type { Failure } from '../../../errors.ts'
import { nextProofAt, provedFor } from './succession.ts'
import {
  type CreationEvent,
  type KeyFacts,
  NOTHING,
  PROVE_JOB,
  REMOVE_JOB,
  SETTLE_JOB,
  type Step,
  TAKEOVER_MS,
} from './vocabulary.ts'

export const NOT_YET: Failure = {
  code: 'outcome_unknown',
  doNotRepeat: true,
  detail:
    'Cloudflare does not accept the secret of the new TURN key yet; the broker goes on trying. Repeat only with the same Idempotency-Key.',
}

const NEVER: Failure = {
  code: 'upstream_failed',
  doNotRepeat: true,
  detail: 'Cloudflare never accepted the secret of the new TURN key: the key was deleted again.',
}

const CREATE = { action: 'turn_key.create' } as const
const OVER = { kind: PROVE_JOB, at: 'over' } as const

/** The secret is stored; the request goes on with the proof, or its job does. */
export const toBeTried = (uid: string, now: number): Step => ({
  jobs: [{ kind: PROVE_JOB, at: now + TAKEOVER_MS }],
  audit: { ...CREATE, outcome: 'done', target: uid },
})

export function tried(key: KeyFacts, event: CreationEvent, now: number): Step {
  if (key.state !== 'creating' || !key.hasSecret || key.replaces) return NOTHING
  const { reply, refusal, isAwaited } = event
  if (refusal) return withdrawn(refusal, 'refused', now)
  const isNo = reply.kind !== 'ok' && isClearNo(reply)
  // A job that gets no answer asks again: before the object died, the answer may have been no.
  if (reply.kind === 'ok' || (isAwaited && !isNo)) {
    return { to: 'active', jobs: [OVER] }
  }
  if (now - key.begunAt > provedFor(isNo)) return withdrawn(NEVER, 'failed', now)
  const again = { kind: PROVE_JOB, at: nextProofAt(key.begunAt, now) } as const
  // The uid may be wrong: what was really made carries the marker.
  return { failure: NOT_YET, jobs: isNo && isAwaited ? [again, { kind: SETTLE_JOB, at: now }] : [again] }
}

const withdrawn = (failure: Failure, outcome: 'refused' | 'failed', now: number): Step => ({
  to: 'deleting',
  jobs: [OVER, { kind: REMOVE_JOB, at: now }],
  repeat: failure,
  failure,
  audit: { ...CREATE, outcome, code: failure.code },
})

/** What a wrong secret, or a wrong uid, is answered. */
export const isClearNo = (reply: FailedReply): boolean =>
  reply.kind === 'gone' || (reply.kind === 'refused' && [401, 403, 404].includes(reply.status))
