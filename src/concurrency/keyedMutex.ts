/**
 * A mutex for each key: operations of the same key run one after the other, in the order they came; operations of
 * different keys run side by side. Held in memory: it orders one object's operations and survives no restart.
 */
export class KeyedMutex {
  readonly #tails = new Map<string, Promise<unknown>>()

  /** Settles as `operation` does. A failure is its own caller's alone: the next operation runs all the same. */
  async run<T>(key: string, operation: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key) ?? Promise.resolve()
    const mine = before.then(operation, operation)
    this.#tails.set(key, mine)
    try {
      return await mine
    } finally {
      if (this.#tails.get(key) === mine) this.#tails.delete(key)
    }
  }
}
