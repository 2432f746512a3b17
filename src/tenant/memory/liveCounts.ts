/**
 * How many credentials are live or being revoked, by TURN key and second of expiry, and how many were minted in the last minute:
 * exact, without reading the ledger at a mint. Loaded once in the life of an object (ledger/counts.ts); each change of the
 * ledger must be reported here. Reservations of mints in flight count as live. Writes nothing.
 */
import {
  type CountedState,
  type HourOfCounts,
  hourOf,
  type LedgerCounts,
  SECONDS_AN_HOUR,
  type SecondCount,
  secondOf,
} from './ledgerCounts.ts'
import { Reservations } from './reservations.ts'

const MINUTE_MS = 60_000
const DAY_MS = 86_400_000

export class LiveCounts {
  /** TURN key → second of expiry → count. */
  readonly #byKey = new Map<string, Map<number, SecondCount>>()
  readonly #minted: number[] = []
  readonly #total: SecondCount = { live: 0, revoking: 0 }
  readonly #reservations = new Reservations()
  #sweptUntil = 0
  #loaded = false
  /** Hours whose stored counts are out of date, as `hour key`. */
  readonly #changed = new Map<string, { readonly keyUid: string; readonly hour: number }>()
  /** Day (UTC, milliseconds since 1970) → ledger rows that were issued on it after the stored counts. */
  readonly #issuedSinceStored = new Map<number, number>()
  #rowsSinceStored = 0
  #lastSeq = 0

  /** Counts what the ledger holds, unless that is known already. `read` is called then only. */
  load(read: () => LedgerCounts, now: number): void {
    if (this.#loaded) return
    this.#byKey.clear()
    this.#changed.clear()
    this.#minted.length = 0
    this.#total.live = 0
    this.#total.revoking = 0
    this.#sweptUntil = Math.floor(now / 1_000)
    const { counts, mintedInLastMinute, issuedSinceStored, lastSeq } = read()
    this.#lastSeq = lastSeq
    for (const { keyUid, expirySecond, isStored, live, revoking } of counts) {
      this.#change(keyUid, expirySecond, 'live', live)
      this.#change(keyUid, expirySecond, 'revoking', revoking)
      if (isStored) continue
      this.#markChanged(keyUid, expirySecond)
    }
    for (const mintedAt of mintedInLastMinute) this.minted(mintedAt)
    this.#issuedSinceStored.clear()
    this.#rowsSinceStored = 0
    for (const issuedAt of issuedSinceStored) this.#issued(issuedAt)
    this.#loaded = true
  }

  /** A transaction was rolled back: what it reported did not happen. Reservations stay; `load` counts the rest again. */
  forget(): void {
    this.#loaded = false
  }

  /** A row is in the ledger now. Times in milliseconds. */
  add(
    row: { readonly seq: number; readonly keyUid: string; readonly issuedAt: number; readonly expiresAt: number },
    state: CountedState,
  ): void {
    this.#lastSeq = row.seq
    this.#change(row.keyUid, secondOf(row.expiresAt), state, 1)
    this.#issued(row.issuedAt)
  }

  #issued(at: number): void {
    const day = at - (at % DAY_MS)
    this.#issuedSinceStored.set(day, (this.#issuedSinceStored.get(day) ?? 0) + 1)
    this.#rowsSinceStored++
  }

  /** A live credential is being revoked. */
  takeBack(keyUid: string, expiresAt: number): void {
    if (!this.#change(keyUid, secondOf(expiresAt), 'live', -1)) return
    this.#change(keyUid, secondOf(expiresAt), 'revoking', 1)
  }

  /** All live credentials of a TURN key, or of every key, are being revoked. */
  takeBackAll(keyUid: string | null): void {
    for (const [uid, seconds] of this.#byKey) {
      if (keyUid !== null && uid !== keyUid) continue
      for (const [second, { live }] of seconds) {
        this.#change(uid, second, 'live', -live)
        this.#change(uid, second, 'revoking', live)
      }
    }
  }

  /** Cloudflare confirmed a revocation. */
  revoked(keyUid: string, expiresAt: number): void {
    this.#change(keyUid, secondOf(expiresAt), 'revoking', -1)
  }

  /** A mint was committed. `begunAt` in milliseconds. */
  minted(begunAt: number): void {
    this.#minted.push(begunAt)
  }

  /** Live credentials and reservations. */
  liveCredentials(now: number): number {
    this.#sweep(now)
    return this.#total.live + this.#reservations.held
  }

  /** The unexpired credentials of every TURN key. */
  all(now: number): SecondCount {
    this.#sweep(now)
    return { ...this.#total }
  }

  /** Credentials that Cloudflare is still to be asked to revoke. */
  revoking(now: number): number {
    this.#sweep(now)
    return this.#total.revoking
  }

  /** The unexpired credentials of one TURN key. Reads each second of expiry. */
  ofKey(keyUid: string, now: number): SecondCount {
    this.#sweep(now)
    const sum = { live: 0, revoking: 0 }
    for (const { live, revoking } of this.#byKey.get(keyUid)?.values() ?? []) {
      sum.live += live
      sum.revoking += revoking
    }
    return sum
  }

  /** When the last unexpired credential of a key (`null`: of every key) expires, in milliseconds, rounded up to the second. */
  lastExpiry(keyUid: string | null, now: number): number | null {
    this.#sweep(now)
    let last = 0
    for (const [uid, seconds] of this.#byKey) {
      if (keyUid !== null && uid !== keyUid) continue
      for (const second of seconds.keys()) if (second > last) last = second
    }
    return last === 0 ? null : last * 1_000
  }

  /** Mints of the last 60 s, and reservations. */
  mintsInLastMinute(now: number): number {
    while (this.#minted.length > 0 && (this.#minted[0] ?? 0) <= now - MINUTE_MS) this.#minted.shift()
    return this.#minted.length + this.#reservations.held
  }

  reservedFor(subjectId: string): number {
    return this.#reservations.of(subjectId)
  }

  /** Reserves a place until the mint has its row or has failed. The returned function gives it back; only its first call counts. */
  reserve(subjectId: string): () => void {
    return this.#reservations.reserve(subjectId)
  }

  /** The greatest number that a row of the ledger ever had, of a pruned row too. */
  get lastSeq(): number {
    return this.#lastSeq
  }

  /** Ledger rows that were added after the stored counts: a start of the object reads them. */
  get rowsSinceStored(): number {
    return this.#rowsSinceStored
  }

  /** What was issued on each day (UTC, milliseconds since 1970) after the stored counts. */
  get issuedSinceStored(): ReadonlyMap<number, number> {
    return this.#issuedSinceStored
  }

  /** The hours that changed since they were stored; `oneHour`: of that key and expiry only. The caller stores them. */
  takeChanged(now: number, oneHour?: { readonly keyUid: string; readonly expiresAt: number }): HourOfCounts[] {
    this.#sweep(now)
    const only = oneHour && idOf(oneHour.keyUid, hourOf(secondOf(oneHour.expiresAt)))
    const taken = [...this.#changed].filter(([id]) => only === undefined || id === only)
    for (const [id] of taken) this.#changed.delete(id)
    if (only === undefined) {
      this.#rowsSinceStored = 0
      this.#issuedSinceStored.clear()
    }
    return taken.map(([, { keyUid, hour }]) => ({ keyUid, hour, seconds: this.#secondsOf(keyUid, hour) }))
  }

  #secondsOf(keyUid: string, hour: number): HourOfCounts['seconds'] {
    const seconds = this.#byKey.get(keyUid)
    const found: [number, SecondCount][] = []
    for (let second = hour * SECONDS_AN_HOUR; second < (hour + 1) * SECONDS_AN_HOUR; second++) {
      const count = seconds?.get(second)
      if (count) found.push([second, count])
    }
    return found
  }

  /** Returns whether there was something to change. */
  #change(keyUid: string, second: number, state: CountedState, by: number): boolean {
    if (by === 0 || second <= this.#sweptUntil) return false
    const seconds = this.#byKey.get(keyUid) ?? new Map<number, SecondCount>()
    this.#byKey.set(keyUid, seconds)
    const count = seconds.get(second) ?? { live: 0, revoking: 0 }
    if (count[state] + by < 0) return false
    count[state] += by
    this.#total[state] += by
    if (count.live + count.revoking > 0) seconds.set(second, count)
    else seconds.delete(second)
    if (this.#loaded) this.#markChanged(keyUid, second)
    return true
  }

  #markChanged(keyUid: string, second: number): void {
    const hour = hourOf(second)
    this.#changed.set(idOf(keyUid, hour), { keyUid, hour })
  }

  /** Forgets the seconds that have passed. */
  #sweep(now: number): void {
    const until = Math.floor(now / 1_000)
    if (until <= this.#sweptUntil) return
    for (const [keyUid, seconds] of this.#byKey) {
      // Walk the seconds that passed or the entries, whichever are fewer.
      if (until - this.#sweptUntil < seconds.size) {
        for (let second = this.#sweptUntil + 1; second <= until; second++) this.#end(seconds, second)
      } else {
        for (const second of [...seconds.keys()]) if (second <= until) this.#end(seconds, second)
      }
      if (seconds.size === 0) this.#byKey.delete(keyUid)
    }
    this.#sweptUntil = until
  }

  #end(seconds: Map<number, SecondCount>, second: number): void {
    const count = seconds.get(second)
    if (!count) return
    this.#total.live -= count.live
    this.#total.revoking -= count.revoking
    seconds.delete(second)
  }
}

const idOf = (keyUid: string, hour: number): string => `${hour} ${keyUid}`
