/** Parses upstream's rate limit headers. Every value is bounded; a malformed header counts as absent. */

const MAX_RETRY_AFTER_HEADER_SECONDS = 86_400
const MAX_HEADER_CHARACTERS = 512
const MAX_RESET_SECONDS = 300

/** How many calls upstream still accepts, and in how many seconds its window ends. */
export interface RateLeft {
  readonly remaining: number
  readonly resetSeconds: number
}

/** What one answer said about the rate limit that all calls share. */
export interface Observed {
  /** The status was 429. */
  readonly refused: boolean
  readonly retryAfterSeconds: number | undefined
  readonly rate: RateLeft | undefined
}

/** `Retry-After` (RFC 9110 §10.2.3), seconds or a date, as seconds from `now` (milliseconds since 1970). */
export function retryAfterOf(header: string | null, now: number): number | undefined {
  if (header === null) return
  const seconds = /^\d{1,9}$/.test(header) ? Number(header) : (Date.parse(header) - now) / 1_000
  return Number.isFinite(seconds)
    ? Math.min(Math.max(0, Math.ceil(seconds)), MAX_RETRY_AFTER_HEADER_SECONDS)
    : undefined
}

/** Parses `Ratelimit: "default";r=50;t=30`. If it lists several policies, the one with the fewest calls left counts. */
export function rateLeftOf(header: string | null): RateLeft | undefined {
  if (header === null || header.length > MAX_HEADER_CHARACTERS) return
  const policies = header.split(',').flatMap((policy) => {
    const remaining = parameter(policy, 'r')
    if (remaining === undefined) return []
    const resetSeconds = Math.min(Math.max(1, parameter(policy, 't') ?? MAX_RESET_SECONDS), MAX_RESET_SECONDS)
    return [{ remaining, resetSeconds }]
  })
  return policies.sort((left, right) => left.remaining - right.remaining)[0]
}

function parameter(policy: string, name: 'r' | 't'): number | undefined {
  const digits = new RegExp(`;\\s*${name}\\s*=\\s*(\\d{1,9})\\s*(?:;|$)`).exec(policy)?.[1]
  return digits === undefined ? undefined : Number(digits)
}
