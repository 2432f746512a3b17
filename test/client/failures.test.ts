/** The browser library when things go wrong: what it gives, whom it tells, and how long it waits. */
import { describe, expect, it, vi } from 'vitest'
import { MAX_TTL_SECONDS } from '../../src/contract/values.ts'
import { HOUR_MS, MINUTE_MS, SECOND_MS } from '../support/broker/clock.ts'
import { playPage } from '../support/client/page.ts'
import { listAnswer, type Play, playedWorld, problem, type World } from '../support/client/world.ts'

const FAILURES: [name: string, code: string, play: Play][] = [
  ['a 429', 'rate_limited', () => problem(429, 'rate_limited')],
  ['a 503 of the broker', 'broker_busy', () => problem(503, 'broker_busy', { 'retry-after': '1' })],
  ['a 500 of something else', 'http_500', () => new Response('<html>', { status: 500 })],
  ['a 400', 'ttl_too_long', () => problem(400, 'ttl_too_long')],
  ['a 401, twice', 'invalid_token', () => problem(401, 'invalid_token')],
  ['no network', 'network', () => new Error('network')],
  ['no answer', 'network', () => 'hang'],
  ['a redirect', 'http_302', () => new Response(null, { status: 302, headers: { location: 'https://evil.test/' } })],
  ['a page instead of an answer', 'bad_answer', () => new Response('<html>', { status: 200 })],
  ['an empty answer', 'bad_answer', () => new Response('', { status: 201 })],
  ['an answer that is null', 'bad_answer', () => Response.json(null, { status: 201 })],
  ['no list', 'bad_answer', () => listAnswer({ iceServers: null })],
  ['a server without addresses', 'bad_answer', () => listAnswer({ iceServers: [null] })],
  ['no ttl', 'bad_answer', () => listAnswer({ ttl: undefined })],
  ['a ttl below zero', 'bad_answer', () => listAnswer({ ttl: -1 })],
  ['a ttl for ever', 'bad_answer', () => new Response('{"iceServers":[],"ttl":1e999,"refreshAfter":1,"source":"x"}')],
  ['a ttl of more than the broker can grant', 'bad_answer', () => listAnswer({ ttl: MAX_TTL_SECONDS + 1 })],
  ['no time to refresh', 'bad_answer', () => listAnswer({ refreshAfter: 0 })],
]

const playing = (world: World, play: Play) => {
  world.play = play
}

describe('a renewal that fails', () => {
  it.each(FAILURES)(
    'A renewal that fails by %s leaves the old list until its end, is reported as %s, and recovers',
    async (_, code, play) => {
      const world = playedWorld(() => listAnswer({ ttl: 600, refreshAfter: 300 }))
      const list = await world.done(world.client.get())
      playing(world, play)
      await world.pass(9 * MINUTE_MS)
      expect(await world.client.get()).toBe(list)
      expect(world.told.degraded.length).toBeGreaterThan(2)
      for (const degraded of world.told.degraded) {
        expect(degraded).toMatchObject({ code, expiresAt: list.expiresAt })
        expect(degraded.retryInSeconds).toBeGreaterThanOrEqual(1)
        expect(degraded.retryInSeconds).toBeLessThanOrEqual(60)
      }
      expect(world.told.error).toEqual([])

      // An attempt without an answer may be under way at the end of the list: its ten seconds are left to it.
      await world.pass(list.expiresAt - Date.now() + (code === 'network' ? 10 * SECOND_MS : 0))
      expect(world.told.error).toMatchObject([{ code, name: 'IceServersError' }])
      const refused = world.client.get()
      refused.catch(() => undefined)
      await world.pass(10 * SECOND_MS)
      await expect(refused).rejects.toMatchObject({ code })
      await world.pass(30 * MINUTE_MS)
      expect(world.told.error).toHaveLength(1)
      expect(world.watch.mostInFlight).toBe(1)

      playing(world, () => listAnswer())
      await world.pass(2 * MINUTE_MS)
      expect(world.told.update).toHaveLength(2)
      expect(await world.client.get()).toBe(world.told.update[1])
    },
  )

  it.each(FAILURES)(
    'A renewal that fails by %s is refused to its first caller, and to a thousand more without a request',
    async (_, code, play) => {
      const world = playedWorld(play)
      const first = world.client.get()
      first.catch(() => undefined)
      if (code === 'network') await world.pass(10 * SECOND_MS)
      await expect(world.done(first)).rejects.toMatchObject({ code })
      const asked = world.sent.length
      for (let again = 0; again < 1_000; again++) await expect(world.client.get()).rejects.toMatchObject({ code })
      expect(world.sent).toHaveLength(asked)
      expect(world.told.error).toHaveLength(1)
      expect(world.told.degraded).toEqual([])
    },
  )

  it('A renewal that fails is repeated after 1 to 60 seconds, more rarely each time', async () => {
    const world = playedWorld(() => new Error('network'))
    world.client.get().catch(() => undefined)
    await world.pass(3 * HOUR_MS)
    const gaps = gapsOf(world)
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(SECOND_MS)
    expect(Math.max(...gaps)).toBeLessThanOrEqual(60 * SECOND_MS)
    gaps.slice(0, 6).forEach((gap, nth) => {
      expect(gap).toBeLessThanOrEqual(2 ** (nth + 1) * SECOND_MS)
    })
    const late = gaps.slice(6)
    const mean = late.reduce((sum, gap) => sum + gap, 0) / late.length
    expect(mean).toBeGreaterThan(26 * SECOND_MS)
    expect(mean).toBeLessThan(35 * SECOND_MS)
  })

  it.each([
    ['the header', { 'retry-after': '40' }, 40],
    ['the header, an hour', { 'retry-after': '3600' }, 60],
  ])('A renewal that fails is repeated no earlier than %s says', async (_, headers, seconds) => {
    const world = playedWorld(() => problem(429, 'rate_limited', headers))
    world.client.get().catch(() => undefined)
    await world.pass(5 * MINUTE_MS)
    const gaps = gapsOf(world)
    expect(Math.min(...gaps)).toBe(seconds * SECOND_MS)
    expect(Math.max(...gaps)).toBeLessThanOrEqual(60 * SECOND_MS)
  })

  it('A renewal that fails does not become frequent because each answer says to come back in a second', async () => {
    const world = playedWorld(() => problem(503, 'broker_busy', { 'retry-after': '1' }))
    world.client.get().catch(() => undefined)
    await world.pass(HOUR_MS)
    expect(world.sent.length).toBeLessThan(200)
  })

  it('A renewal that fails for the lack of a network is repeated soon after it is back', async () => {
    const page = playPage()
    const world = playedWorld(() => new Error('network'))
    const random = vi.spyOn(Math, 'random').mockReturnValue(0.99)
    world.client.get().catch(() => undefined)
    await world.pass(20 * MINUTE_MS)
    playing(world, () => listAnswer())
    const before = world.sent.length
    page('online')
    await world.pass(3 * SECOND_MS)
    random.mockRestore()
    expect(world.sent).toHaveLength(before + 1)
    expect(world.told.update).toHaveLength(1)
  })
})

const gapsOf = ({ sent }: World): number[] => sent.slice(1).map(({ at }, nth) => at - (sent[nth]?.at ?? 0))
