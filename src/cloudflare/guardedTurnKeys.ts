/**
 * The management of TURN keys, one call upstream at a time: creations, however many, leave the object's other connections
 * to mints and revocations. A host that has not answered for long is let alone for a moment. A call whose turn does not
 * come was not made, which is what `rate-limited` says.
 */

import { CircuitBreaker } from '../concurrency/circuitBreaker.ts'
import { Semaphore } from '../concurrency/semaphore.ts'
import { BrokerError } from '../errors.ts'
import type { Reply } from './reply.ts'
import type { TurnKeysApi } from './turnKeys.ts'

const CALLS_AT_ONCE = 1
const CALLS_QUEUED = 64
const UNASKED = { kind: 'rate-limited', retryAfterSeconds: 1, unasked: true } as const
const LET_ALONE = { kind: 'rate-limited', retryAfterSeconds: 1 } as const

export function withBulkhead(api: TurnKeysApi, now: () => number): TurnKeysApi {
  const semaphore = new Semaphore(CALLS_AT_ONCE, CALLS_QUEUED)
  const circuitBreaker = new CircuitBreaker()

  const asked = async <T>(call: () => Promise<Reply<T>>): Promise<Reply<T>> => {
    if (circuitBreaker.refuses(now())) return LET_ALONE
    const ended = circuitBreaker.begin()
    let failed = true
    try {
      const reply = await call()
      failed = reply.kind === 'doubtful' && reply.reason !== 'malformed'
      return reply
    } finally {
      ended({ failed, at: now() })
    }
  }

  /** At most half of its time is spent on waiting: what is left must be enough to be answered. */
  const turn = async <T>(deadlineMs: number, call: (leftMs: number) => Promise<Reply<T>>): Promise<Reply<T>> => {
    const until = now() + deadlineMs
    try {
      const left = () => Math.max(until - now(), deadlineMs / 2)
      return await semaphore.run(deadlineMs / 2, () => asked(() => call(left())))
    } catch (error) {
      if (error instanceof BrokerError) return UNASKED
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
