/**
 * Bulkhead and circuit breaker in front of the TURN key API: its calls share the object's connection for keys, so that
 * many creations leave the others to mints and revocations. If the wait in the queue exceeds half the deadline, nothing
 * is sent and the reply is `rate-limited` with `unasked`.
 */

import { CircuitBreaker } from '../concurrency/circuitBreaker.ts'
import type { Semaphore } from '../concurrency/semaphore.ts'
import { BrokerError } from '../errors.ts'
import type { Reply } from './reply.ts'
import type { TurnKeysApi } from './turnKeys.ts'

/** The queue was full or too slow. */
export const NOT_SENT = { kind: 'rate-limited', retryAfterSeconds: 1, unasked: true, unsent: true } as const
/** Too many calls in a row got no answer. */
const CIRCUIT_OPEN = { kind: 'rate-limited', retryAfterSeconds: 1, unsent: true } as const

export function withBulkhead(
  api: TurnKeysApi,
  { connection, now }: { readonly connection: Semaphore; readonly now: () => number },
): TurnKeysApi {
  const circuitBreaker = new CircuitBreaker()

  const throughBreaker = async <T>(call: () => Promise<Reply<T>>): Promise<Reply<T>> => {
    if (circuitBreaker.refuses(now())) return CIRCUIT_OPEN
    const reportOutcome = circuitBreaker.begin()
    let failed = true
    try {
      const reply = await call()
      failed = reply.kind === 'doubtful' && reply.reason !== 'malformed'
      return reply
    } finally {
      reportOutcome({ failed, at: now() })
    }
  }

  /** Waits in the queue for at most half the deadline. The call keeps at least the other half for its answer. */
  const queued = async <T>(deadlineMs: number, call: (leftMs: number) => Promise<Reply<T>>): Promise<Reply<T>> => {
    const until = now() + deadlineMs
    try {
      const leftMs = () => Math.max(until - now(), deadlineMs / 2)
      return await connection.run(deadlineMs / 2, () => throughBreaker(() => call(leftMs())))
    } catch (error) {
      if (error instanceof BrokerError) return NOT_SENT
      throw error
    }
  }

  return {
    create: (name, deadlineMs) => queued(deadlineMs, (leftMs) => api.create(name, leftMs)),
    get: (uid, deadlineMs) => queued(deadlineMs, (leftMs) => api.get(uid, leftMs)),
    list: (deadlineMs) => queued(deadlineMs, (leftMs) => api.list(leftMs)),
    update: (uid, name, deadlineMs) => queued(deadlineMs, (leftMs) => api.update(uid, name, leftMs)),
    remove: (uid, deadlineMs) => queued(deadlineMs, (leftMs) => api.remove(uid, leftMs)),
  }
}
