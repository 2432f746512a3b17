/**
 * How many credentials are live, and how many were minted in the last minute: exact, without reading the ledger at a mint.
 * Loaded once in the life of an object; each change of the ledger's live rows must be reported here. Reservations of mints
 * in flight count as live, so that parallel requests cannot pass a limit together. Writes nothing.
 */
const MINUTE_MS = 60_000

/** What the ledger says: how many live credentials end when, and when the mints of the last minute began. */
export interface LedgerCounts {
  readonly liveByExpiry: Iterable<{ readonly expiresAt: number; readonly count: number }>
  /** In the order of their time. */
  readonly mintedInLastMinute: readonly number[]
}

export class LiveCounts {
  /** Expiry (whole seconds) → live credentials that end then. */
  readonly #ending = new Map<number, number>()
  readonly #minted: number[] = []
  #live = 0
  #reserved = 0
  readonly #reservedBySubject = new Map<string, number>()
  #sweptUntil = 0
  #loaded = false

  /** Counts what the ledger holds, unless that is known already. `read` is called then only. */
  load(read: () => LedgerCounts, now: number): void {
    if (this.#loaded) return
    this.#ending.clear()
    this.#minted.length = 0
    this.#live = 0
    this.#sweptUntil = Math.floor(now / 1_000)
    const { liveByExpiry, mintedInLastMinute } = read()
    for (const { expiresAt, count } of liveByExpiry) this.add(expiresAt, count)
    for (const mintedAt of mintedInLastMinute) this.minted(mintedAt)
    this.#loaded = true
  }

  /** A transaction was rolled back: what it reported did not happen. Reservations stay; `load` counts the rest again. */
  forget(): void {
    this.#loaded = false
  }

  /** A live row is in the ledger now. `expiresAt` in milliseconds. */
  add(expiresAt: number, count = 1): void {
    const second = Math.ceil(expiresAt / 1_000)
    if (second <= this.#sweptUntil) return
    this.#ending.set(second, (this.#ending.get(second) ?? 0) + count)
    this.#live += count
  }

  /** A live row was revoked, or is being revoked. */
  remove(expiresAt: number): void {
    const second = Math.ceil(expiresAt / 1_000)
    const count = this.#ending.get(second) ?? 0
    if (count === 0) return
    if (count === 1) this.#ending.delete(second)
    else this.#ending.set(second, count - 1)
    this.#live--
  }

  /** A mint was committed. `begunAt` in milliseconds. */
  minted(begunAt: number): void {
    this.#minted.push(begunAt)
  }

  /** Live rows and reservations. */
  liveCredentials(now: number): number {
    this.#sweep(Math.floor(now / 1_000))
    return this.#live + this.#reserved
  }

  /** Mints of the last 60 s, and reservations. */
  mintsInLastMinute(now: number): number {
    while (this.#minted.length > 0 && (this.#minted[0] ?? 0) <= now - MINUTE_MS) this.#minted.shift()
    return this.#minted.length + this.#reserved
  }

  reservedFor(subjectId: string): number {
    return this.#reservedBySubject.get(subjectId) ?? 0
  }

  /** Reserves a place until the mint has its row or has failed. The returned function gives it back; only its first call counts. */
  reserve(subjectId: string): () => void {
    this.#reserved++
    this.#reservedBySubject.set(subjectId, this.reservedFor(subjectId) + 1)
    let held = true
    return () => {
      if (!held) return
      held = false
      this.#reserved--
      const others = this.reservedFor(subjectId) - 1
      if (others > 0) this.#reservedBySubject.set(subjectId, others)
      else this.#reservedBySubject.delete(subjectId)
    }
  }

  #sweep(second: number): void {
    if (second <= this.#sweptUntil) return
    // Walk the seconds that passed or the entries, whichever are fewer.
    if (second - this.#sweptUntil < this.#ending.size) {
      for (let s = this.#sweptUntil + 1; s <= second; s++) this.#end(s)
    } else {
      for (const s of [...this.#ending.keys()]) if (s <= second) this.#end(s)
    }
    this.#sweptUntil = second
  }

  #end(second: number): void {
    this.#live -= this.#ending.get(second) ?? 0
    this.#ending.delete(second)
  }
}
