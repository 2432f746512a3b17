/**
 * A circuit breaker for one host: after many failures in a row it is left alone for a moment, then asked by one caller,
 * whose success lets everybody in again. It opens when the host is gone, not when it is bad: a quarter of all attempts
 * may fail for as long as they like. Pure but for its memory; `now` comes in.
 */
/** At 25 % failures as many in a row come once in 4^24 attempts. */
const FAILURES_TO_OPEN = 24
/** Does not grow: whoever asks after this learns within one attempt whether the host is back. */
const OPEN_MS = 1_000

export class CircuitBreaker {
  #failures = 0
  /** While it is open: when one may try. */
  #tryAt: number | null = null
  #trying = false

  /** Whether an attempt would be refused now. */
  refuses(now: number): boolean {
    return this.#tryAt !== null && (this.#trying || now < this.#tryAt)
  }

  /** Begins an attempt that is not refused. Call what it gives once, with how it ended. */
  begin(): (ended: { readonly failed: boolean; readonly at: number }) => void {
    const isTrial = this.#tryAt !== null
    if (isTrial) this.#trying = true
    return ({ failed, at }) => {
      if (isTrial) this.#trying = false
      if (!failed) {
        this.#failures = 0
        this.#tryAt = null
        return
      }
      this.#failures++
      // What was begun before it opened and fails after is no news.
      const opens = this.#tryAt === null ? this.#failures >= FAILURES_TO_OPEN : isTrial
      if (opens) this.#tryAt = at + OPEN_MS
    }
  }
}
