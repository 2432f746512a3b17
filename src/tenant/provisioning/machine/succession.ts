/**
 * The state machine's part about rotation: the new key is proven, takes over, and the old one is retired. Pure. A key that
 * is to replace another stays `creating` from the commit that stores its secret until it has minted once.
 */
import type { Failure } from '../../../errors.ts'
import {
  type KeyFacts,
  NOTHING,
  REMOVE_JOB,
  RENAME_JOB,
  RETIRE_JOB,
  ROTATE_JOB,
  type Step,
  type SuccessionEvent,
  TAKEOVER_MS,
} from './vocabulary.ts'

/** A fresh key may need a while until it mints: a refusal is believed only after this. */
const NOT_YET_MS = 900_000
/** While Cloudflare does not answer at all, the proof is tried longer: the old key mints meanwhile. */
const UNANSWERED_MS = 86_400_000
const SOONEST_PROOF_MS = 5_000
const LATEST_PROOF_MS = 300_000
/** Look at least hourly: a revocation may end the last credential before it expires. */
const LATEST_LOOK_MS = 3_600_000
/** Expiry has a precision of one second: wait one second more. */
const AFTER_EXPIRY_MS = 1_000

export const ROTATION_IN_DOUBT: Failure = {
  code: 'outcome_unknown',
  doNotRepeat: true,
  detail:
    'The new key does not mint yet; the old one goes on, and so does the rotation. Repeat only with the same Idempotency-Key.',
}

/** The old key was deleted, or is lost at Cloudflare, before the new one could take over. */
export const NOTHING_TO_REPLACE: Failure = {
  code: 'conflict',
  doNotRepeat: true,
  detail: 'The TURN key was deleted while it was rotated: there is no new key either.',
}

const UNPROVEN: Failure = {
  code: 'upstream_failed',
  doNotRepeat: true,
  detail: 'The new key never minted and was deleted again: the old one stays.',
}

const ROTATE = { action: 'turn_key.rotate', outcome: 'failed' } as const

/** The secret is stored; the request continues, or its job does. */
export const toBeProven = (uid: string, now: number): Step => ({
  jobs: [{ kind: ROTATE_JOB, at: now + TAKEOVER_MS }],
  audit: { action: 'turn_key.create', outcome: 'done', target: uid },
})

export function proved(key: KeyFacts, { reply, old }: SuccessionEvent & { kind: 'proved' }, now: number): Step {
  if (key.state !== 'creating' || !key.hasSecret) return NOTHING
  if (!old) return abandoned(NOTHING_TO_REPLACE, now)
  if (reply.kind === 'ok') {
    const over = { kind: ROTATE_JOB, at: 'over' } as const
    const taken: Step = { to: 'active', jobs: [over], change: 'turn_key.rotate' }
    // The old key was renamed while its successor was created: a job gives the successor that name.
    if (old.name === key.name) return taken
    return { ...taken, set: { pending_name: old.name }, jobs: [over, { kind: RENAME_JOB, at: now }] }
  }
  const isNo = reply.kind === 'refused' || reply.kind === 'gone'
  if (now - key.begunAt > provedFor(isNo)) return abandoned(UNPROVEN, now)
  return { failure: ROTATION_IN_DOUBT, jobs: [{ kind: ROTATE_JOB, at: nextProofAt(key.begunAt, now) }] }
}

/** For how many milliseconds after the creation began a proof is tried. */
export const provedFor = (isNo: boolean): number => (isNo ? NOT_YET_MS : UNANSWERED_MS)

export const nextProofAt = (begunAt: number, now: number): number =>
  now + Math.min(Math.max((now - begunAt) / 4, SOONEST_PROOF_MS), LATEST_PROOF_MS)

/** The new key is removed; the old one stays as it is. */
const abandoned = (failure: Failure, now: number): Step => ({
  to: 'deleting',
  jobs: [
    { kind: ROTATE_JOB, at: 'over' },
    { kind: REMOVE_JOB, at: now },
  ],
  repeat: failure,
  failure,
  audit: { ...ROTATE, code: failure.code },
})

/** Mints in flight are asked of the successor in either case. A key that Cloudflare lost has no credential to wait for. */
export function replaced(key: KeyFacts, it: SuccessionEvent & { kind: 'replaced' }, now: number): Step {
  if (key.state !== 'active' && key.state !== 'missing') return NOTHING
  if (it.revoke || key.state === 'missing') return removedForSuccessor(now)
  return { to: 'retiring', handOver: true, jobs: [{ kind: RETIRE_JOB, at: lookAt(it.lastExpiry, now) }] }
}

export function retired(key: KeyFacts, { lastExpiry }: SuccessionEvent & { kind: 'retired' }, now: number): Step {
  if (!key.replaced || (key.state !== 'retiring' && key.state !== 'missing')) return NOTHING
  if (lastExpiry !== null && key.state === 'retiring')
    return { jobs: [{ kind: RETIRE_JOB, at: lookAt(lastExpiry, now) }] }
  return removedForSuccessor(now)
}

const lookAt = (lastExpiry: number | null, now: number): number =>
  lastExpiry === null ? now : Math.min(lastExpiry + AFTER_EXPIRY_MS, now + LATEST_LOOK_MS)

const removedForSuccessor = (now: number): Step => ({
  to: 'deleting',
  set: { pending_name: null },
  jobs: [
    { kind: RENAME_JOB, at: 'over' },
    { kind: RETIRE_JOB, at: 'over' },
    { kind: REMOVE_JOB, at: now },
  ],
  takeBack: true,
  handOver: true,
  change: 'turn_key.delete',
})
