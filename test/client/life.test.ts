/** The browser library in a machine that sleeps, and after it was stopped. */
import { describe, expect, it, vi } from 'vitest'
import { HOUR_MS, MINUTE_MS, SECOND_MS } from '../support/broker/clock.ts'
import { playPage } from '../support/client/page.ts'
import { newPeer } from '../support/client/peer.ts'
import { listAnswer, newWorld, playedWorld, usernameOf } from '../support/client/world.ts'

const DAY_MS = 24 * HOUR_MS

describe('a machine that slept', () => {
  it.each(['visibilitychange', 'online', 'pageshow', 'focus'])(
    'A machine that slept renews at once on %s',
    async (type) => {
      const page = playPage()
      const world = await newWorld()
      await world.done(world.client.get())
      page(type)
      await world.idle()
      expect(world.sent).toHaveLength(1)

      world.sleep(8 * HOUR_MS)
      for (let again = 0; again < 5; again++) page(type)
      await world.idle()
      expect(world.sent).toHaveLength(2)
      expect(world.told.update.at(-1)?.expiresAt).toBeGreaterThan(Date.now())
      expect(world.told.error).toEqual([])
    },
  )

  it('A machine that slept is given no list that ended while it slept', async () => {
    const world = await newWorld()
    const before = await world.done(world.client.get())
    world.sleep(8 * HOUR_MS)
    const after = await world.done(world.client.get())
    expect(usernameOf(after.iceServers)).not.toBe(usernameOf(before.iceServers))
    expect(after.expiresAt).toBeGreaterThan(Date.now())
  })

  it('A machine that slept renews within half a minute where nothing tells that it woke', async () => {
    const world = await newWorld()
    await world.done(world.client.get())
    world.sleep(8 * HOUR_MS)
    await world.pass(31 * SECOND_MS)
    expect(world.sent).toHaveLength(2)
  })

  it('A machine that slept does not live longer when its clock is set back', async () => {
    const world = playedWorld(() => listAnswer())
    await world.done(world.client.get())
    await world.pass(MINUTE_MS)
    vi.setSystemTime(Date.now() - 5 * HOUR_MS)
    await world.pass(30 * MINUTE_MS)
    expect(world.sent).toHaveLength(2)
    const list = await world.done(world.client.get())
    expect(list.expiresAt - Date.now()).toBeLessThanOrEqual(HOUR_MS)
  })
})

describe('a page that was frozen', () => {
  it.each([60, 50.1])(
    'A page that was frozen is given no list that ended meanwhile, though its clock was set back %f minutes',
    async (back) => {
      const world = playedWorld(() => listAnswer({ ttl: 2_400, refreshAfter: 1_200 }))
      const before = await world.done(world.client.get())
      world.sleep(8 * MINUTE_MS) // in which only the wall clock went on
      await world.done(world.client.get())
      const unset = performance.now()
      const going = vi.spyOn(performance, 'now').mockImplementation(() => unset + 50 * MINUTE_MS)
      vi.setSystemTime(Date.now() + 50 * MINUTE_MS - back * MINUTE_MS)
      const after = await world.done(world.client.get())
      expect(usernameOf(after.iceServers)).not.toBe(usernameOf(before.iceServers))
      going.mockRestore()
    },
  )
})

describe('a library that is stopped', () => {
  it('A library that is stopped leaves no timer, no listener and no request, and tells nothing more', async () => {
    const page = playPage()
    const world = await newWorld()
    await world.done(world.client.get())
    const pc = newPeer()
    world.client.attach(pc)
    const timers = vi.getTimerCount()
    world.client.stop()
    expect(timers).toBeGreaterThan(0)
    expect(vi.getTimerCount()).toBe(0)
    expect(page.listeners()).toBe(0)
    expect(pc.listeners()).toBe(0)
    await world.pass(DAY_MS)
    page('online')
    pc.becomes('failed')
    await world.idle()
    expect(world.sent).toHaveLength(1)
    await expect(world.client.get()).rejects.toMatchObject({ code: 'stopped', name: 'IceServersError' })
    world.client.attach(newPeer())()
    expect(world.sent).toHaveLength(1)
    expect(world.told).toMatchObject({ error: [], degraded: [] })
  })

  it.each(['token', 'answer'])('A library that is stopped gives up the %s it waits for', async (what) => {
    const hanging = () => new Promise<string>(() => {})
    const world = playedWorld(() => 'hang', what === 'token' ? { getToken: hanging } : {})
    const got = world.client.get()
    got.catch(() => undefined)
    await world.idle()
    world.client.stop()
    expect(vi.getTimerCount()).toBe(0)
    await expect(got).rejects.toMatchObject({ code: 'stopped' })
    await world.pass(HOUR_MS)
    expect(world.sent).toHaveLength(what === 'token' ? 0 : 1)
    expect(world.told).toEqual({ update: [], degraded: [], error: [] })
  })

  it('A library that is stopped is what `using` leaves behind', async () => {
    const world = await newWorld()
    await world.done(world.client.get())
    {
      using client = world.client
      expect(client).toBe(world.client)
    }
    expect(vi.getTimerCount()).toBe(0)
    await expect(world.client.get()).rejects.toMatchObject({ code: 'stopped' })
  })
})
