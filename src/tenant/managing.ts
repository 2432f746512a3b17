/**
 * The management of TURN keys, one call upstream at a time: creations, however many, leave the object's other connections
 * to mints and revocations. A call whose turn does not come was not made, which is what `rate-limited` says.
 */
import type { Reply } from '../cloudflare/reply.ts'
import type { TurnKeysApi } from '../cloudflare/turnKeys.ts'
import { BrokerError } from '../errors.ts'
import { Gate } from './gate.ts'

const CALLS_AT_ONCE = 1
const CALLS_QUEUED = 64

export function oneAtATime(api: TurnKeysApi, now: () => number): TurnKeysApi {
  const gate = new Gate(CALLS_AT_ONCE, CALLS_QUEUED)

  /** At most half of its time is spent on waiting: what is left must be enough to be answered. */
  const turn = async <T>(deadlineMs: number, call: (leftMs: number) => Promise<Reply<T>>): Promise<Reply<T>> => {
    const until = now() + deadlineMs
    try {
      return await gate.through(deadlineMs / 2, () => call(Math.max(until - now(), deadlineMs / 2)))
    } catch (error) {
      if (error instanceof BrokerError) return { kind: 'rate-limited', retryAfterSeconds: 1, unasked: true }
      throw error
    }
  }

  return {
    create: (name, deadlineMs) => turn(deadlineMs, (leftMs) => api.create(name, leftMs)),
    get: (uid, deadlineMs) => turn(deadlineMs, (leftMs) => api.get(uid, leftMs)),
    list: (deadlineMs) => turn(deadlineMs, (leftMs) => api.list(leftMs)),
    update: (uid, name, deadlineMs) => turn(deadlineMs, (leftMs) => api.update(uid, name, leftMs)),
    remove: (uid, deadlineMs) => turn(deadlineMs, (leftMs) => api.remove(uid, leftMs)),
  }
}
