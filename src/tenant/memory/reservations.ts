/** Places under the limits that mints in flight hold, in all and by subject. They count as live, so that parallel requests cannot pass a limit together. */
export class Reservations {
  #held = 0
  readonly #bySubject = new Map<string, number>()

  get held(): number {
    return this.#held
  }

  of(subjectId: string): number {
    return this.#bySubject.get(subjectId) ?? 0
  }

  /** Holds a place until the mint has its row or has failed. The returned function gives it back; only its first call counts. */
  reserve(subjectId: string): () => void {
    this.#held++
    this.#bySubject.set(subjectId, this.of(subjectId) + 1)
    let isHeld = true
    return () => {
      if (!isHeld) return
      isHeld = false
      this.#held--
      const others = this.of(subjectId) - 1
      if (others > 0) this.#bySubject.set(subjectId, others)
      else this.#bySubject.delete(subjectId)
    }
  }
}
