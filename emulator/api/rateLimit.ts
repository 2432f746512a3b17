// Counts calls of the key API as Cloudflare does: everything together in a fixed window, and once it is overrun every
// call is blocked for a whole window. Owns the counter only.
import { type Answer, failure, RATE_LIMITED } from '../http/answer.ts'
import type { Settings } from '../world/settings.ts'

type Policy = NonNullable<Settings['rateLimit']>
const MS_PER_SECOND = 1_000

export interface Verdict {
  /** The 429 to give instead of an answer, or null while calls are free. */
  refusal: Answer | null
  /** For the answer that is given. */
  headers: Record<string, string>
}

export class RateCounter {
  #used = 0
  #windowEndsMs = 0
  #blocked = false

  take(policy: Policy | null, nowMs: number): Verdict {
    if (policy === null) return { refusal: null, headers: {} }
    const windowMs = policy.windowSeconds * MS_PER_SECOND
    if (nowMs >= this.#windowEndsMs) {
      this.#used = 0
      this.#blocked = false
      this.#windowEndsMs = nowMs + windowMs
    }
    this.#used += 1
    if (!this.#blocked && this.#used > policy.requests) {
      this.#blocked = true
      this.#windowEndsMs = nowMs + windowMs
    }
    const secondsLeft = Math.ceil((this.#windowEndsMs - nowMs) / MS_PER_SECOND)
    const remaining = Math.max(0, policy.requests - this.#used)
    const headers = {
      ratelimit: `"default";r=${remaining};t=${secondsLeft}`,
      'ratelimit-policy': `"default";q=${policy.requests};w=${policy.windowSeconds}`,
    }
    if (!this.#blocked) return { refusal: null, headers }
    const refusal = failure(429, RATE_LIMITED, 'Rate limited. Please wait and consider throttling your request speed')
    Object.assign(refusal.headers, headers, { 'retry-after': String(secondsLeft) })
    return { refusal, headers }
  }

  clear(): void {
    this.#used = 0
    this.#windowEndsMs = 0
    this.#blocked = false
  }
}
