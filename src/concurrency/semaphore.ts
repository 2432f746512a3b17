/**
 * A semaphore with a bounded queue: `width` operations run at once, up to `queueLength` more wait, first come first
 * served. A Durable Object has about six connections: without a bound, one kind of call starves the others.
 */
import { BrokerError } from '../errors.ts'

export class Semaphore {
  readonly #width: number
  readonly #queueLength: number
  readonly #waiting: ((enter: boolean) => void)[] = []
  #inside = 0

  constructor(width: number, queueLength: number) {
    this.#width = width
    this.#queueLength = queueLength
  }

  /** How many operations would run at once. */
  get free(): number {
    return this.#width - this.#inside
  }

  /**
   * Settles as `operation` does. Throws `broker_busy`, without running it, when the queue is full or when its turn does
   * not come within `waitMs` milliseconds. The bound is on the wait; the operation itself may take longer.
   */
  async run<T>(waitMs: number, operation: () => Promise<T>): Promise<T> {
    if (this.#inside < this.#width) this.#inside++
    else await this.#queue(waitMs)
    try {
      return await operation()
    } finally {
      const next = this.#waiting.shift()
      if (next) next(true)
      else this.#inside--
    }
  }

  /** Resolves when an operation that ended has handed its place over. The place is never free in between. */
  async #queue(waitMs: number): Promise<void> {
    if (this.#waiting.length >= this.#queueLength) throw busy()
    let leave: (enter: boolean) => void = () => undefined
    const turn = new Promise<boolean>((resolve) => {
      leave = resolve
      this.#waiting.push(resolve)
    })
    const timer = setTimeout(() => {
      const place = this.#waiting.indexOf(leave)
      if (place >= 0) this.#waiting.splice(place, 1)
      leave(false)
    }, waitMs)
    const entered = await turn
    clearTimeout(timer)
    if (!entered) throw busy()
  }
}

const busy = () => new BrokerError('broker_busy', { retryAfterSeconds: 1 })
