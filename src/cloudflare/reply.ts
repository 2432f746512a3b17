/** What an exchange amounts to, whichever API it was with: a yes, a no, or a doubt. */
import type { Exchange } from './exchange.ts'

export type Reply<T> =
  | { readonly kind: 'ok'; readonly value: T }
  /** Upstream has no such key. */
  | { readonly kind: 'gone' }
  /** Upstream said no, and did nothing. */
  | { readonly kind: 'refused'; readonly status: number }
  | { readonly kind: 'rate-limited'; readonly retryAfterSeconds: number | undefined }
  /** It may or may not have taken effect. */
  | {
      readonly kind: 'doubtful'
      readonly reason: 'timeout' | 'network' | 'server-error' | 'malformed'
      readonly status?: number
    }

export type NoReply = Exclude<Reply<never>, { kind: 'ok' }>

/** The reply when it is plainly not a yes; `undefined` when its body must decide. */
export function plainNo(it: Exchange): NoReply | undefined {
  if (it.kind === 'unanswered') return { kind: 'doubtful', reason: it.reason }
  const { status, body } = it
  if (status === 429) {
    return { kind: 'rate-limited', retryAfterSeconds: it.retryAfterSeconds ?? it.rate?.resetSeconds }
  }
  // 408: upstream lost patience with the connection, which says nothing of what it had done by then.
  if (status === 408) return { kind: 'doubtful', reason: 'timeout', status }
  if (status >= 400 && status < 500) return { kind: 'refused', status }
  if (status >= 500) return { kind: 'doubtful', reason: 'server-error', status }
  if ('problem' in body && body.problem === 'timeout') return { kind: 'doubtful', reason: 'timeout', status }
  return status >= 200 && status <= 299 ? undefined : { kind: 'doubtful', reason: 'malformed', status }
}
