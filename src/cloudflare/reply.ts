/** The outcome of an upstream call, for both APIs: succeeded, failed without effect, or unknown. */
import type { Exchange } from './exchange.ts'

export type Reply<T> =
  | { readonly kind: 'ok'; readonly value: T }
  /** Upstream has no such key. */
  | { readonly kind: 'gone' }
  /** Upstream refused with a 4xx and did nothing. */
  | { readonly kind: 'refused'; readonly status: number }
  | {
      readonly kind: 'rate-limited'
      readonly retryAfterSeconds: number | undefined
      /** Nothing was sent: the broker's own queue was full or too slow. */
      readonly unasked?: true
      /** Nothing was sent, for that reason or because the circuit breaker is open: the call takes nothing of the budget. */
      readonly unsent?: true
    }
  /** The call may or may not have taken effect. */
  | {
      readonly kind: 'doubtful'
      readonly reason: 'timeout' | 'network' | 'server-error' | 'malformed'
      readonly status?: number
    }

export type FailedReply = Exclude<Reply<never>, { kind: 'ok' }>

/** The failure that the status alone shows; `undefined` if the body must be read. */
export function failedReply(exchanged: Exchange): FailedReply | undefined {
  if (exchanged.kind === 'unanswered') return { kind: 'doubtful', reason: exchanged.reason }
  const { status, body } = exchanged
  if (status === 429) {
    return { kind: 'rate-limited', retryAfterSeconds: exchanged.retryAfterSeconds ?? exchanged.rate?.resetSeconds }
  }
  // 408: upstream closed a slow connection. The call may have taken effect before.
  if (status === 408) return { kind: 'doubtful', reason: 'timeout', status }
  if (status >= 400 && status < 500) return { kind: 'refused', status }
  if (status >= 500) return { kind: 'doubtful', reason: 'server-error', status }
  if ('problem' in body && body.problem === 'timeout') return { kind: 'doubtful', reason: 'timeout', status }
  return status >= 200 && status <= 299 ? undefined : { kind: 'doubtful', reason: 'malformed', status }
}
