/**
 * Key sets of tenants' identity providers: fetched with a bound on time, bytes and keys, no redirects, one request at a
 * time for each URL, and remembered in the isolate. A cool-down covers failures and unknown key ids alike, so that no
 * number of tokens causes more than a few requests, and one provider's trouble is no other's. A fetch belongs to the
 * request that began it and may never settle once that request is cancelled. So it goes to `waitUntil` too, and each
 * follower waits with a timer of its own, then goes by the keys remembered: no SingleFlight here.
 */
import * as z from 'zod'
import { exchange, type Upstream } from '../cloudflare/exchange.ts'
import { within } from '../concurrency/deadline.ts'
import { Jwk } from '../contract/policy/issuers.ts'

const FETCH_DEADLINE_MS = 3_000
const MAX_BYTES = 65_536
const MAX_KEYS = 50
const FRESH_MS = 600_000
/** After an attempt, whatever came of it. */
const COOL_DOWN_MS = 30_000
/** A provider that cannot be reached keeps its users for this long with the keys that were good. */
const STALE_MS = 3_600_000
const MAX_PROVIDERS = 1_000

/** Keys of kinds that are not known here are passed over, not an error: providers publish others too. */
const KeySet = z.object({ keys: z.array(z.unknown()).max(MAX_KEYS) })

/** The request that needs keys. */
export interface Needing {
  /** `lacking`: what is remembered had not the key that is needed. */
  readonly need: 'any' | 'lacking'
  /** Keeps the fetch alive for its followers when this request's caller hangs up. */
  readonly waitUntil: (work: Promise<unknown>) => void
}

interface Provider {
  keys: readonly Jwk[]
  fetchedAt: number
  triedAt: number
  asking: Promise<void> | undefined
}

export class JwksCache {
  readonly #upstream: Upstream
  readonly #providers = new Map<string, Provider>()

  constructor(upstream: Upstream) {
    this.#upstream = upstream
  }

  /** The keys of a URL. Empty when there are none to be had. */
  async keys(url: string, { need, waitUntil }: Needing): Promise<readonly Jwk[]> {
    const provider = this.#provider(url)
    const now = this.#upstream.now()
    const due = need === 'lacking' || now - provider.fetchedAt > FRESH_MS
    if (due && now - provider.triedAt > COOL_DOWN_MS) {
      provider.triedAt = now
      provider.asking = this.#fetch(url, provider).finally(() => {
        provider.asking = undefined
      })
      waitUntil(provider.asking)
    }
    // The timer belongs to the request that waits. The request that fetches may be gone, and its timers with it.
    if (due && provider.asking !== undefined) await within(FETCH_DEADLINE_MS, provider.asking, () => undefined)
    return this.#upstream.now() - provider.fetchedAt > STALE_MS ? [] : provider.keys
  }

  #provider(url: string): Provider {
    const known = this.#providers.get(url)
    if (known) return known
    const [oldest] = this.#providers.keys()
    if (this.#providers.size >= MAX_PROVIDERS && oldest !== undefined) this.#providers.delete(oldest)
    const provider: Provider = {
      keys: [],
      fetchedAt: Number.NEGATIVE_INFINITY,
      triedAt: Number.NEGATIVE_INFINITY,
      asking: undefined,
    }
    this.#providers.set(url, provider)
    return provider
  }

  async #fetch(url: string, provider: Provider): Promise<void> {
    const it = await exchange(this.#upstream, {
      method: 'GET',
      url,
      deadlineMs: FETCH_DEADLINE_MS,
      maxBytes: MAX_BYTES,
    })
    if (it.kind !== 'answered' || it.status !== 200 || !('json' in it.body)) return
    const set = KeySet.safeParse(it.body.json)
    if (!set.success) return
    provider.keys = set.data.keys.flatMap((key) => {
      const jwk = Jwk.safeParse(key)
      return jwk.success ? [jwk.data] : []
    })
    provider.fetchedAt = this.#upstream.now()
  }
}
