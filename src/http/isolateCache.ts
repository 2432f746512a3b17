/**
 * The isolate's in-memory cache: tenants known to exist, refusals for 10 s, snapshots for 60 s, look-ups for 5 s, check keys and
 * digests of tokens that they proved, parsed entries of KV, readiness, key sets. Every map is bounded. Caches only answers that KV and the objects gave. A
 * shared promise belongs to the request that began it and may never settle once that request is cancelled. So the work goes to
 * `waitUntil` too, and each follower waits with a timer of its own: no SingleFlight (concurrency/singleFlight.ts) here.
 */
import { JwksCache } from '../auth/jwks.ts'
import { FRESH_MS, type ParsedEntries, type TenantSnapshot, type TurnKeyEntry } from '../cache/entries.ts'
import { within } from '../concurrency/deadline.ts'
import type { CheckKey } from '../crypto/checkKeys.ts'
import type { ErrorCode } from '../errors.ts'

const REFUSED_MS = 10_000
const READY_MS = 10_000
/** How long a readiness check is shared: its own deadline. */
export const READY_CHECK_MS = 3_000
/** At most one recheck of a tenant's snapshot in this time: what was added to a policy counts after it at the latest. */
const RECHECK_MS = 5_000
/** A follower waits this long for a look-up it did not begin, then looks up by itself. Newcomers do not join one older than this. */
export const LOOK_UP_MS = 2_000
/** How long the answer of a look-up is kept that anyone can cause by naming a tenant, also where there is none. */
const LOOKED_UP_MS = 5_000
const MAX_ENTRIES = 10_000

/** How the Worker itself asks the web. */
export const upstream = {
  fetch: (url: string, init: RequestInit): Promise<Response> => fetch(url, init),
  now: (): number => Date.now(),
}

export class IsolateCache {
  /** Tenants known to exist. Never expires: ids are not reused, so the object of a known id always exists. */
  readonly tenants = new ExpiringMap<boolean>(Number.POSITIVE_INFINITY)
  /** Token digest and scope → the Tenant's refusal. A token never gains rights, so a refusal stays right for 10 s. */
  readonly refusals = new ExpiringMap<ErrorCode>(REFUSED_MS)
  /** Snapshots for the browser door. The reader must check `isFresh`. */
  readonly snapshots = new ExpiringMap<TenantSnapshot>(FRESH_MS)
  /** Entries of TURN keys that were read from KV, by their text. */
  readonly turnKeyEntries: ParsedEntries<TurnKeyEntry> = new ExpiringMap(FRESH_MS)
  /** What KV has of a tenant, of any age. */
  readonly snapshotReads = new SharedLookUps<TenantSnapshot | undefined>(LOOKED_UP_MS)
  /** Fresh snapshots, looked up in KV and at the objects; `undefined`: there is no such tenant. */
  readonly snapshotLookUps = new SharedLookUps<TenantSnapshot | undefined>(LOOKED_UP_MS)
  /** The last question of a Tenant for its snapshot, for 5 s after it began: until then no recheck starts. Never rejects. */
  readonly snapshotRechecks = new ExpiringMap<Promise<TenantSnapshot | undefined>>(RECHECK_MS)
  /** Newer snapshots of tenants that refused what an older one allowed: only those who ask at the same time share one. */
  readonly snapshotRefreshes = new SharedLookUps<TenantSnapshot | undefined>(0)
  /** Tenants in whose trail a refused JWT was noted in the last 5 s. */
  readonly refusedJwts = new ExpiringMap<boolean>(RECHECK_MS)
  /** The check keys of API tokens, when they were last looked up, and when the Account last gave them. No age makes them useless. */
  checkKeys:
    | { readonly keys: readonly CheckKey[]; readonly lookedUpAt: number; readonly confirmedAt: number }
    | undefined
  /** Tenant and id of an API token → the digest of the token that its check proved, and the number of the check key. */
  readonly provenTokens = new ExpiringMap<{ readonly digest: string; readonly keyNumber: number }>(
    Number.POSITIVE_INFINITY,
  )
  /** The last look-ups of the check keys, in KV or at the Account: whether they found them. */
  readonly checkKeyLookUps = new SharedLookUps<boolean>(LOOKED_UP_MS)
  /** Key sets of the tenants' identity providers. */
  readonly jwks = new JwksCache(upstream)
  readonly readiness = new ExpiringMap<boolean>(READY_MS)
  /** Single-flight: the readiness check in progress. */
  readonly readinessCheck = new ExpiringMap<Promise<boolean>>(READY_CHECK_MS)
}

/**
 * Single-flight with a memory, by key: one look-up is in flight, and its answer is kept for a while. A follower waits 2 s, then
 * begins a look-up or follows a later one, because the request that began the first may have been cancelled. Errors are not kept.
 */
export class SharedLookUps<T> {
  readonly #answers: ExpiringMap<{ readonly value: T }>
  readonly #running = new ExpiringMap<Promise<T>>(LOOK_UP_MS)

  constructor(keptMs: number) {
    this.#answers = new ExpiringMap(keptMs)
  }

  /** `waitUntil` keeps the look-up alive for its followers when its own caller hangs up. */
  get(key: string, lookUp: () => Promise<T>, waitUntil: (work: Promise<unknown>) => void): Promise<T> {
    const known = this.#answers.get(key)
    if (known) return Promise.resolve(known.value)
    const running = this.#running.get(key)
    if (running !== undefined) return within(LOOK_UP_MS, running, () => this.get(key, lookUp, waitUntil))
    const work: Promise<T> = lookUp()
      .then((value) => {
        this.#answers.set(key, { value })
        return value
      })
      .finally(() => this.#running.forget(key, work))
    this.#running.set(key, work)
    waitUntil(work.catch(() => undefined))
    return work
  }
}

class ExpiringMap<T> {
  readonly #entries = new Map<string, { readonly value: T; readonly until: number }>()
  readonly #lifetimeMs: number

  constructor(lifetimeMs: number) {
    this.#lifetimeMs = lifetimeMs
  }

  get(key: string): T | undefined {
    const entry = this.#entries.get(key)
    if (entry && entry.until > Date.now()) return entry.value
    this.#entries.delete(key)
    return
  }

  /** Removes the entry if it still has this value. */
  forget(key: string, value: T): void {
    if (this.#entries.get(key)?.value === value) this.#entries.delete(key)
  }

  set(key: string, value: T): void {
    // A Map keeps insertion order, so the first entry is the oldest.
    const [oldest] = this.#entries.keys()
    if (this.#entries.size >= MAX_ENTRIES && oldest !== undefined) this.#entries.delete(oldest)
    this.#entries.set(key, { value, until: Date.now() + this.#lifetimeMs })
  }
}
