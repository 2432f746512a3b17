/**
 * Single flight inside one Durable Object: calls for the same key share one run. Not for the Worker's isolate, where a
 * run dies with the request that began it: there each follower needs a timer of its own (http/isolateCache.ts).
 */

/** How long a run is shared: this long after it began, settled or not. */
export interface SharedFor {
  readonly ms: number
  readonly now: () => number
}

interface Flight<T> {
  readonly begunAt: number
  readonly result: Promise<T>
}

export class SingleFlight<T> {
  readonly #flights = new Map<string, Flight<T>>()
  readonly #sharedFor: SharedFor | undefined

  /** Without `sharedFor` a run is shared until it settles, however long that takes. */
  constructor(sharedFor?: SharedFor) {
    this.#sharedFor = sharedFor
  }

  /** The result of the run that may be shared now. Rejects as the run does. */
  underWay(key: string): Promise<T> | undefined {
    const flight = this.#flights.get(key)
    if (!flight) return
    const limit = this.#sharedFor
    return limit && limit.now() - flight.begunAt >= limit.ms ? undefined : flight.result
  }

  /** Begins a run that others may share from now on, in the place of the one before. */
  lead(key: string, run: () => Promise<T>): Promise<T> {
    const result = run()
    const flight = { begunAt: this.#sharedFor?.now() ?? 0, result }
    this.#flights.set(key, flight)
    if (!this.#sharedFor) {
      // The first handler of `result`: a follower that continues, and looks again, no longer finds this run.
      const forget = () => {
        if (this.#flights.get(key) === flight) this.#flights.delete(key)
      }
      void result.then(forget, forget)
    }
    return result
  }

  /** The result of the run under way, else of a new one. */
  share(key: string, run: () => Promise<T>): Promise<T> {
    return this.underWay(key) ?? this.lead(key, run)
  }

  /** The next call begins a run of its own. Those who already wait still get this run's result. */
  forget(key: string): void {
    this.#flights.delete(key)
  }
}
