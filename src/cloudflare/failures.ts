/** What a caller is told of an upstream's reply that was no yes. Upstream's own words and status stay here. */
import { type Failure, MAX_RETRY_AFTER_SECONDS } from '../errors.ts'
import type { NoReply } from './reply.ts'

export function failureOf(reply: NoReply): Failure {
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

/** Upstream may say an hour; nobody is told more than a minute. */
const boundedWait = (seconds: number | undefined): number =>
  Math.min(Math.max(seconds ?? MAX_RETRY_AFTER_SECONDS, 1), MAX_RETRY_AFTER_SECONDS)
