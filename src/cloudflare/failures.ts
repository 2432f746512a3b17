/** Maps an upstream reply that was no success to the broker's error. Upstream's text and status are never passed on. */
import { type Failure, MAX_RETRY_AFTER_SECONDS } from '../errors.ts'
import type { FailedReply } from './reply.ts'

export function failureOf(reply: FailedReply): Failure {
  switch (reply.kind) {
    case 'rate-limited':
      return {
        code: reply.unasked ? 'broker_busy' : 'upstream_unavailable',
        retryAfterSeconds: boundedWait(reply.retryAfterSeconds),
      }
    case 'doubtful':
      return { code: reply.reason === 'timeout' ? 'upstream_timeout' : 'upstream_failed' }
    case 'gone':
    case 'refused':
      return { code: 'upstream_failed' }
  }
}

/** Clamps `Retry-After` to 1 to 60 s, even if upstream asks for an hour. */
const boundedWait = (seconds: number | undefined): number =>
  Math.min(Math.max(seconds ?? MAX_RETRY_AFTER_SECONDS, 1), MAX_RETRY_AFTER_SECONDS)
