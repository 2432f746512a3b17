/** Runs operations on the same thing one after the other, in the order they came. Memory only. */
export class KeyedMutex {
  readonly #tails = new Map<string, Promise<unknown>>()

  async run<T>(on: string, operation: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(on) ?? Promise.resolve()
    const mine = before.then(operation, operation)
    this.#tails.set(on, mine)
    try {
      return await mine
    } finally {
      if (this.#tails.get(on) === mine) this.#tails.delete(on)
    }
  }
}
