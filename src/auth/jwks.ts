/**
 * JWKS cache of the isolate: the key sets of tenants' identity providers, by URL. A fetch is single-flight for each URL, and a
 * cool-down follows every attempt: 5 s, so that a key that the provider has just added counts within 5 s; 30 s after a failure. So many
 * tokens cause few requests, and one slow provider does not delay the others. A fetch belongs to the
 * request that began it and may never settle once that request is cancelled. So it goes to `waitUntil` too, and each
 * follower waits with a timer of its own, then goes by the keys remembered: no SingleFlight here.
 */
import type { Upstream } from '../cloudflare/exchange.ts'
import { within } from '../concurrency/deadline.ts'
import type { Jwk } from '../contract/policy/issuers.ts'
import { fetchKeySet, PROVIDER_DEADLINE_MS } from './keySets.ts'

const FRESH_MS = 600_000
/** No new fetch within this time of the last attempt. */
const COOL_DOWN_MS = 5_000
/** The same after an attempt that gave no key set, and while one is under way. */
const FAILED_COOL_DOWN_MS = 30_000
/** While a provider cannot be reached, its last key set is used until this age. */
const STALE_MS = 3_600_000
const MAX_PROVIDERS = 1_000

/** The request for keys. */
export interface KeysRequest {
  /** `lacking`: the cached set does not contain the key, so fetch the set even if it is fresh. */
  readonly need: 'any' | 'lacking'
  /** Keeps the fetch alive for its followers when this request's caller hangs up. */
  readonly waitUntil: (work: Promise<unknown>) => void
}

interface Provider {
  keys: readonly Jwk[]
  fetchedAt: number
  triedAt: number
  coolDownMs: number
  fetching: Promise<void> | undefined
}

export class JwksCache {
  readonly #upstream: Upstream
  readonly #providers = new Map<string, Provider>()

  constructor(upstream: Upstream) {
    this.#upstream = upstream
  }

  /** The keys behind a URL; empty if there is no set younger than an hour. Never rejects. */
  async keys(url: string, { need, waitUntil }: KeysRequest): Promise<readonly Jwk[]> {
    const provider = this.#provider(url)
    const now = this.#upstream.now()
    const due = need === 'lacking' || now - provider.fetchedAt > FRESH_MS
    if (due && now - provider.triedAt > provider.coolDownMs) {
      provider.triedAt = now
      provider.coolDownMs = FAILED_COOL_DOWN_MS
      provider.fetching = this.#fetch(url, provider).finally(() => {
        provider.fetching = undefined
      })
      waitUntil(provider.fetching)
    }
    // The timer belongs to the request that waits. The request that fetches may be gone, and its timers with it.
    if (due && provider.fetching !== undefined) await within(PROVIDER_DEADLINE_MS, provider.fetching, () => undefined)
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
      coolDownMs: COOL_DOWN_MS,
      fetching: undefined,
    }
    this.#providers.set(url, provider)
    return provider
  }

  async #fetch(url: string, provider: Provider): Promise<void> {
    const fetched = await fetchKeySet(this.#upstream, url)
    if ('problem' in fetched) return
    provider.keys = fetched.keys
    provider.fetchedAt = this.#upstream.now()
    provider.coolDownMs = COOL_DOWN_MS
  }
}
