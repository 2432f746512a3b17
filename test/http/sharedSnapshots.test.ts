/** A look-up of a tenant's snapshot is shared between requests, and may die with the request that began it. */

import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { FORMAT } from '../../src/cache/entries.ts'
import { tenantSnapshot } from '../../src/http/caller/snapshots.ts'
import type { Ctx } from '../../src/http/context.ts'
import { IsolateCache } from '../../src/http/isolateCache.ts'

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] }))
afterEach(() => void vi.useRealTimers())

const snapshot = () => ({
  v: FORMAT,
  tenant: 'acme',
  version: 1,
  confirmedAt: Date.now(),
  status: 'active',
  tokens: [],
  allowedOrigins: [],
  requireOrigin: false,
  issuers: [],
})

/** Requests to one isolate; of those that were cancelled no read ever ends, and nothing goes on after them. */
function isolate() {
  const edge = new IsolateCache()
  const reads: string[] = []
  const request = (name: string, fate: 'lives' | 'is cancelled') => {
    const get = () => {
      reads.push(name)
      return fate === 'lives' ? Promise.resolve(JSON.stringify(snapshot())) : new Promise(() => undefined)
    }
    const c = { get: () => edge, env: { CACHE: { get } }, executionCtx: { waitUntil: () => undefined } }
    return tenantSnapshot(c as unknown as Ctx, 'acme') // all of it that a look-up uses
  }
  return { request, reads }
}

it('A follower of a cancelled request waits 2 s, then looks the snapshot up by itself', async () => {
  const { request, reads } = isolate()
  void request('leader', 'is cancelled')
  const follower = request('follower', 'lives')
  await vi.advanceTimersByTimeAsync(1_999)
  expect(reads).toEqual(['leader'])
  await vi.advanceTimersByTimeAsync(1)
  expect(await Promise.race([follower, 'hangs'])).toMatchObject({ tenant: 'acme' })
  expect(reads).toEqual(['leader', 'follower'])
})

it('A request that comes 2 s after a cancelled one waits for nothing', async () => {
  const { request, reads } = isolate()
  void request('leader', 'is cancelled')
  await vi.advanceTimersByTimeAsync(2_000)
  expect(await request('newcomer', 'lives')).toMatchObject({ tenant: 'acme' })
  expect(reads).toEqual(['leader', 'newcomer'])
})

it('Followers of a request that lives share its look-up, and leave no timer behind', async () => {
  const { request, reads } = isolate()
  const all = await Promise.all(['a', 'b', 'c'].map((name) => request(name, 'lives')))
  expect(all).toHaveLength(3)
  expect(reads).toEqual(['a'])
  expect(vi.getTimerCount()).toBe(0)
})
