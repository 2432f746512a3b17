// Operations held open until a test releases them, and tests that wait until one is held. A hold ends by itself after
// HOLD_LIMIT_MS, so that a forgotten one does not hang a run.
import type { Operation } from '../api/operations.ts'

const HOLD_LIMIT_MS = 60_000

export interface Held {
  id: string
  operation: Operation
  uid: string
  when: 'before' | 'after'
}

export class Holds {
  readonly #held = new Map<Held, () => void>()
  readonly #watchers = new Set<() => void>()

  /** Resolves when released. */
  async hold(held: Held): Promise<void> {
    await untilSignalled(HOLD_LIMIT_MS, (signal) => {
      this.#held.set(held, signal)
      for (const watcher of this.#watchers) watcher()
    })
    this.#held.delete(held)
  }

  /** How many were held under this id; all of them go on. */
  release(id: string): number {
    const released = [...this.#held].filter(([held]) => held.id === id)
    for (const [held, letGo] of released) {
      this.#held.delete(held)
      letGo()
    }
    return released.length
  }

  releaseAll(): void {
    for (const held of this.waiting()) this.release(held.id)
  }

  waiting(): Held[] {
    return [...this.#held.keys()]
  }

  /** Resolves once `count` operations are held under this id, or when the time is up. */
  async untilHeld(id: string, { count, withinMs }: { count: number; withinMs: number }): Promise<void> {
    const reached = () => this.waiting().filter((held) => held.id === id).length >= count
    if (reached()) return
    let watcher = () => {}
    await untilSignalled(withinMs, (signal) => {
      watcher = () => reached() && signal()
      this.#watchers.add(watcher)
    })
    this.#watchers.delete(watcher)
  }
}

/** The timer keeps the request alive in runtimes that end one which waits for nothing of its own. */
function untilSignalled(limitMs: number, arm: (signal: () => void) => void): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, limitMs)
    arm(() => {
      clearTimeout(timer)
      resolve()
    })
  })
}
