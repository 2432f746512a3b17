/**
 * A circuit breaker for one host. It opens after many failures in a row and then refuses every attempt for a second.
 * After that it is half open: one attempt, the trial, is let through. If the trial succeeds, the breaker closes. A host
 * that fails a quarter of its attempts never opens it. Keeps no clock and asks nothing: callers pass the time in.
 */

/** If 25 % of all attempts fail, 24 failures in a row come once in 4^24 attempts. */
const FAILURES_TO_OPEN = 24
/** Does not grow with the length of an outage, so that a host that is back is found within a second and one attempt. */
const OPEN_MS = 1_000

export class CircuitBreaker {
  #failures = 0
  /** When the next trial may begin, in ms since the epoch. `null`: the breaker is closed. */
  #tryAt: number | null = null
  #trying = false

  /** Whether an attempt must not be made now: the breaker is open, or its trial is under way. */
  refuses(now: number): boolean {
    return this.#tryAt !== null && (this.#trying || now < this.#tryAt)
  }

  /** Begins an attempt that `refuses` allows. Returns a callback: call it exactly once, with the outcome. */
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
      // An attempt begun before the breaker opened says nothing new when it fails afterwards.
      const opens = this.#tryAt === null ? this.#failures >= FAILURES_TO_OPEN : isTrial
      if (opens) this.#tryAt = at + OPEN_MS
    }
  }
}
