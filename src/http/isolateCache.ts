/**
 * What an isolate remembers between requests: tenants known to exist, refusals for ten seconds, readiness.
 * Bounded, and only ever a shortcut to an answer the objects gave. A promise in `asking` belongs to the request that
 * began it and may never settle once that request is cancelled. So the work goes to `waitUntil` too, and each follower
 * waits with a timer and a fallback of its own: no SingleFlight (concurrency/singleFlight.ts) here.
 */
import { JwksCache } from '../auth/jwks.ts'
import { FRESH_MS, type TenantSnapshot } from '../cache/entries.ts'
import type { ErrorCode } from '../errors.ts'

const REFUSED_MS = 10_000
const READY_MS = 10_000
/** A follower waits this long for a look-up it did not begin, then looks up by itself. Newcomers do not join one older than this. */
export const ASKING_MS = 2_000
const MAX_ENTRIES = 10_000

export class IsolateCache {
  /** Ids are never used again, so a tenant once known stays a name with an object behind it. */
  readonly tenants = new Remembered<boolean>(Number.POSITIVE_INFINITY)
  /** Digest and scope → the refusal the Tenant gave. A token's worth only ever shrinks within ten seconds. */
  readonly refusals = new Remembered<ErrorCode>(REFUSED_MS)
  /** Snapshots for the browser door's CORS answers; each says itself how long it is fresh. */
  readonly snapshots = new Remembered<TenantSnapshot>(FRESH_MS)
  /** Snapshots that are being asked for, by tenant. Only http/caller/snapshots.ts waits for them, see above. */
  readonly asking = new Remembered<Promise<TenantSnapshot | undefined>>(ASKING_MS)
  /** Keys of the tenants' identity providers. */
  readonly jwks = new JwksCache({ fetch: (url, init) => fetch(url, init), now: () => Date.now() })
  readonly readiness = new Remembered<boolean>(READY_MS)
}

class Remembered<T> {
  readonly #entries = new Map<string, { readonly value: T; readonly until: number }>()
  readonly #forMs: number

  constructor(forMs: number) {
    this.#forMs = forMs
  }

  get(key: string): T | undefined {
    const entry = this.#entries.get(key)
    if (entry && entry.until > Date.now()) return entry.value
    this.#entries.delete(key)
    return
  }

  forget(key: string, value: T): void {
    if (this.#entries.get(key)?.value === value) this.#entries.delete(key)
  }

  set(key: string, value: T): void {
    // The oldest entry makes room: a Map keeps insertion order.
    const [oldest] = this.#entries.keys()
    if (this.#entries.size >= MAX_ENTRIES && oldest !== undefined) this.#entries.delete(oldest)
    this.#entries.set(key, { value, until: Date.now() + this.#forMs })
  }
}
