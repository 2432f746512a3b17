/** A fetch of a key set is shared between requests, and may die with the request that began it. */

import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { JwksCache, type KeysRequest } from '../../src/auth/jwks.ts'
import { newKey } from '../support/secrets/idp.ts'

const URL = 'https://login.example.com/keys'
const { jwk } = await newKey('good')
/** The runtime keeps nothing alive for a request that was cancelled. */
const dropped: KeysRequest = { need: 'lacking', waitUntil: () => undefined }

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] }))
afterEach(() => void vi.useRealTimers())

/** A cache whose fetches never end, abort or not, while the requests that begin them are cancelled. */
function isolate() {
  const state = { cancelled: true, asked: 0 }
  const fetch = () => {
    state.asked++
    return state.cancelled ? new Promise<never>(() => undefined) : Promise.resolve(Response.json({ keys: [jwk] }))
  }
  return { state, cache: new JwksCache({ fetch, now: () => Date.now() }) }
}

it('A follower of a cancelled request waits 3 s for the key set, then goes without', async () => {
  const { state, cache } = isolate()
  void cache.keys(URL, dropped)
  const follower = cache.keys(URL, dropped)
  await vi.advanceTimersByTimeAsync(2_999)
  expect(await Promise.race([follower, 'waits'])).toBe('waits')
  await vi.advanceTimersByTimeAsync(1)
  expect(await Promise.race([follower, 'hangs'])).toEqual([])
  expect(state.asked).toBe(1)

  state.cancelled = false
  await vi.advanceTimersByTimeAsync(30_000)
  expect(await cache.keys(URL, dropped), 'after the cool-down').toHaveLength(1)
  expect(state.asked).toBe(2)
})

it('A follower of a cancelled request goes by the keys that were good', async () => {
  const { state, cache } = isolate()
  state.cancelled = false
  expect(await cache.keys(URL, dropped)).toHaveLength(1)
  await vi.advanceTimersByTimeAsync(31_000)
  state.cancelled = true
  void cache.keys(URL, dropped)
  const follower = cache.keys(URL, dropped)
  await vi.advanceTimersByTimeAsync(3_000)
  expect(await Promise.race([follower, 'hangs'])).toHaveLength(1)
  expect(vi.getTimerCount(), 'but for the deadline of the fetch').toBeLessThanOrEqual(1)
})
