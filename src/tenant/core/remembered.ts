/**
 * Rows that an object remembers, so that a mint does not read them again. Only the file that writes a table remembers its rows,
 * and it forgets them with each write. A transaction that was rolled back forgets all.
 */

/** Values by key, for each object's database. */
export class Remembered<K, V> {
  static readonly #all: Remembered<unknown, unknown>[] = []
  readonly #ofObject = new WeakMap<SqlStorage, Map<K, V>>()
  readonly #atMost: number

  /** `atMost` values of an object: with one more, it remembers that one alone. */
  constructor(atMost: number) {
    this.#atMost = atMost
    Remembered.#all.push(this)
  }

  /** After a transaction that was rolled back. */
  static forgetAll(sql: SqlStorage): void {
    for (const each of Remembered.#all) each.forget(sql)
  }

  /** The value as it is remembered, else as `read` finds it. */
  get(sql: SqlStorage, key: K, read: () => V): V {
    const known = this.#ofObject.get(sql) ?? new Map<K, V>()
    this.#ofObject.set(sql, known)
    const value = known.get(key)
    if (value !== undefined) return value
    const found = read()
    if (known.size >= this.#atMost) known.clear()
    // What is not there may be there the next time.
    if (found !== undefined) known.set(key, found)
    return found
  }

  /** With each write of what the values were read from. */
  forget(sql: SqlStorage): void {
    this.#ofObject.delete(sql)
  }
}
