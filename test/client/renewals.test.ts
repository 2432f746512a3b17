/** The browser library over days: when it asks, how it asks, and that what it gives has not ended. */
import { describe, expect, it, vi } from 'vitest'
import { MAX_TTL_SECONDS } from '../../src/contract/values.ts'
import { HOUR_MS, MINUTE_MS, SECOND_MS } from '../support/broker/clock.ts'
import { newPeer } from '../support/client/peer.ts'
import { listAnswer, newWorld, playedWorld, problem, STUN_ONLY, usernameOf } from '../support/client/world.ts'
import { mintsAsked } from '../support/tenants/issuing.ts'

const DAY_MS = 24 * HOUR_MS

describe('a list of ICE servers', () => {
  it('A list of ICE servers is asked for in a CORS simple request: a form, no header, no cookies', async () => {
    const { client, done, sent } = await newWorld({ options: { ttl: 600 } })
    const list = await done(client.get())
    expect(list.source).toBe('minted')
    expect(usernameOf(list.iceServers)).toBeDefined()
    const [{ input, init, body } = { input: '', init: {}, body: '' }] = sent
    expect(init).toMatchObject({ method: 'POST', credentials: 'omit', redirect: 'manual' })
    expect(init.headers).toBeUndefined()
    expect(Object.keys(init).sort()).toEqual(['body', 'credentials', 'method', 'redirect', 'signal'])
    expect([...new Request(String(input), init).headers]).toEqual([
      ['content-type', 'application/x-www-form-urlencoded;charset=UTF-8'],
    ])
    expect(String(input)).not.toContain('token')
    expect([...new URLSearchParams(body).keys()]).toEqual(['access_token', 'ttl'])
    expect(body).toMatch(/&ttl=600$/)
  })

  it('A list of ICE servers is one request for however many callers, and none is sent before the first call', async () => {
    const { client, done, sent, idle, pass } = await newWorld()
    await pass(HOUR_MS)
    expect(sent).toHaveLength(0)
    const lists = await Promise.all(Array.from({ length: 50 }, () => done(client.get())))
    expect(new Set(lists).size).toBe(1)
    await idle()
    expect(sent).toHaveLength(1)
    expect(new URLSearchParams(sent[0]?.body).has('ttl')).toBe(false)
  })

  it('A list of ICE servers ends at the time just before the request was sent plus its ttl', async () => {
    const world = playedWorld(() => {
      vi.setSystemTime(Date.now() + 5 * SECOND_MS) // the answer is slow
      return listAnswer({ ttl: 100, refreshAfter: 50 })
    })
    const { expiresAt } = await world.done(world.client.get())
    expect(expiresAt).toBe((world.sent[0]?.at ?? 0) + 100 * SECOND_MS)
  })

  it('A list of ICE servers may live as long as the broker can grant at most', async () => {
    const world = playedWorld(() => listAnswer({ ttl: MAX_TTL_SECONDS, refreshAfter: 300 }))
    const { expiresAt } = await world.done(world.client.get())
    expect(expiresAt).toBe((world.sent[0]?.at ?? 0) + MAX_TTL_SECONDS * SECOND_MS)
  })

  it.each([
    ['reused by the broker until half of its life is over', true, 3_600],
    ['minted again each time', false, 3_600],
    ['short', true, 60],
  ])(
    'A list of ICE servers renews over a day, %s: no storm, one request at a time, and never past an end',
    async (_, reuse, ttl) => {
      const world = await newWorld({ policy: { reuse, maxMintsPerMinute: 6_000 }, options: { ttl } })
      const { client, sent, ends, watch, told } = world
      const pc = newPeer(await world.done(client.get()))
      client.attach(pc)
      const late: string[] = []
      const span = ttl < 600 ? HOUR_MS / 3 : DAY_MS
      await world.pass(span, () => {
        const username = usernameOf(pc.configured.at(-1))
        const end = ends.get(username ?? '') ?? 0
        if (end <= Date.now()) late.push(`${username} ended ${Date.now() - end} ms ago`)
      })
      expect(late).toEqual([])
      expect(watch.mostInFlight).toBe(1)
      const cycles = span / (ttl * 500) // half a life each
      const mints = (await mintsAsked()).length
      expect(sent.length).toBeGreaterThanOrEqual(cycles * 0.9)
      expect(sent.length).toBeLessThan(cycles * 2.4)
      expect(mints).toBeLessThan(cycles * 1.25)
      expect(told.update).toHaveLength(sent.length)
      expect([told.degraded, told.error]).toEqual([[], []])
      for (const { expiresAt, iceServers } of told.update) {
        expect(expiresAt).toBeLessThanOrEqual(ends.get(usernameOf(iceServers) ?? '') ?? 0)
      }
    },
    60_000,
  )

  it('A list of ICE servers is renewed over a day in which everything goes wrong at random: no storm, and never past an end', async () => {
    const ends = new Map<string, number>()
    const world = playedWorld(() => {
      const good = listAnswer({ ttl: 600, refreshAfter: 300 })
      const bad = [
        () => problem(503, 'broker_busy', { 'retry-after': '1' }),
        () => problem(429, 'rate_limited', { 'retry-after': '30' }),
        () => problem(401, 'invalid_token'),
        () => new Error('network'),
        () => new Response('<html>', { status: 200 }),
        () => listAnswer(STUN_ONLY),
        () => 'hang' as const,
      ]
      // Bad hours and good ones.
      const share = Math.floor(Date.now() / HOUR_MS) % 2 === 0 ? 0.9 : 0.2
      const play = Math.random() < share ? bad[Math.floor(Math.random() * bad.length)] : undefined
      return play?.() ?? good
    })
    const pc = newPeer()
    world.client.attach(pc)
    const late: string[] = []
    await world.pass(DAY_MS, () => {
      for (const { iceServers, expiresAt } of world.told.update) ends.set(usernameOf(iceServers) ?? '', expiresAt)
      world.told.update.length = 0
      const asked = Date.now()
      void world.client.get().then(
        ({ iceServers, expiresAt }) => {
          const end = ends.get(usernameOf(iceServers) ?? '') ?? expiresAt
          if (Math.min(end, expiresAt) <= asked) late.push(`ended ${asked - end} ms ago`)
        },
        () => undefined,
      )
    })
    expect(late).toEqual([])
    expect(world.watch.mostInFlight).toBe(1)
    const times = world.sent.map(({ at }) => at)
    expect(mostWithin(times, MINUTE_MS)).toBeLessThan(25)
    expect(mostWithin(times, HOUR_MS)).toBeLessThan(300)
    expect(ends.size).toBeGreaterThan(100)
    // A 401 is asked once more at once; nothing else is.
    const atOnce = times.filter((at, nth) => nth > 1 && at === times[nth - 2])
    expect(atOnce).toEqual([])
  }, 60_000)

  it('A list of ICE servers is asked for less and less often while the broker returns the same credential, and the page hears so', async () => {
    const world = playedWorld(() => new Error('not yet'))
    const first = (await listAnswer().json()) as { iceServers: { username?: string }[] } // as listAnswer makes it
    const begun = Date.now()
    const end = begun + HOUR_MS
    // As the broker does while Cloudflare cannot be asked.
    world.play = () => {
      const ttl = Math.floor((end - Date.now()) / SECOND_MS)
      const refreshAfter = Math.max(5, Math.ceil(ttl - HOUR_MS / 2 / SECOND_MS))
      if (ttl <= 0) return problem(502, 'upstream_failed')
      return listAnswer({ iceServers: first.iceServers, ttl, refreshAfter, source: 'reused' })
    }
    const list = await world.done(world.client.get())
    const pc = newPeer(list)
    world.client.attach(pc)
    await world.pass(HOUR_MS / 2)
    expect(world.told.degraded).toEqual([])
    await world.pass(HOUR_MS / 2 - 2 * SECOND_MS)
    const late = world.sent.filter(({ at }) => at > begun + HOUR_MS / 2)
    expect(late.length).toBeGreaterThan(10)
    expect(late.length).toBeLessThan(45)
    expect(world.told.degraded).toHaveLength(late.length)
    for (const { code, expiresAt, retryInSeconds } of world.told.degraded) {
      expect(code).toBe('not_renewed')
      expect(Math.abs(expiresAt - end)).toBeLessThanOrEqual(SECOND_MS)
      expect(retryInSeconds).toBeGreaterThan(0)
    }
    expect(world.told.error).toEqual([])
    expect(world.watch.mostInFlight).toBe(1)
    expect(
      mostWithin(
        world.sent.map(({ at }) => at),
        10 * MINUTE_MS,
      ),
    ).toBeLessThan(35)

    world.play = () => listAnswer()
    await world.pass(MINUTE_MS)
    expect(usernameOf(world.told.update.at(-1)?.iceServers)).not.toBe(usernameOf(list.iceServers))
  })

  it('A list of ICE servers is renewed between 85 and 95 % of refreshAfter, and not by all pages at once', async () => {
    const waits: number[] = []
    for (let round = 0; round < 20; round++) {
      const world = playedWorld(() => listAnswer())
      const { renewsAt } = await world.done(world.client.get())
      const at = Date.now()
      await world.pass(2_000 * SECOND_MS)
      expect(world.sent[1]?.at).toBe(renewsAt)
      waits.push((renewsAt - at) / (1_800 * SECOND_MS))
      world.client.stop()
      vi.useRealTimers()
    }
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(0.85)
    expect(Math.max(...waits)).toBeLessThanOrEqual(0.95)
    expect(new Set(waits).size).toBeGreaterThan(15)
  })

  it('A list of ICE servers is renewed before its end, however late the broker would have it', async () => {
    const world = playedWorld(() => listAnswer({ ttl: 4, refreshAfter: 5 }))
    const list = await world.done(world.client.get())
    expect(list.renewsAt).toBeLessThan(list.expiresAt - 500)
    await world.pass(MINUTE_MS)
    expect(world.sent.length).toBeLessThan(25)
    expect(world.told.error).toEqual([])
  })

  it('A list of ICE servers is not given when it ended on the way', async () => {
    const world = playedWorld(() => {
      vi.setSystemTime(Date.now() + 2 * SECOND_MS)
      return listAnswer({ ttl: 1, refreshAfter: 5 })
    })
    await expect(world.done(world.client.get())).rejects.toMatchObject({ code: 'expired' })
    await world.pass(10 * MINUTE_MS)
    expect(world.sent.length).toBeLessThan(60)
    expect(world.told.update).toEqual([])
  })
})

/** The most of these times that fall into one such span. */
const mostWithin = (times: number[], span: number): number =>
  Math.max(...times.map((from, nth) => times.slice(nth).filter((at) => at < from + span).length))
