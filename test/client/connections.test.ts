/** The browser library and the connections it keeps current: which are restarted, when, by whom, and which never. */
import { describe, expect, it } from 'vitest'
import { HOUR_MS, MINUTE_MS, SECOND_MS } from '../support/broker/clock.ts'
import { type How, newPeer, TEN_MINUTES, withPeer } from '../support/client/peer.ts'
import { listAnswer, newWorld, playedWorld, usernameOf } from '../support/client/world.ts'

describe('an attached connection', () => {
  it('An attached connection is given the list at once and at every renewal, and keeps the rest of its configuration', async () => {
    const { pc, renewal, newest, told } = await withPeer('direct')
    expect(pc.configured).toHaveLength(1)
    for (let round = 0; round < 5; round++) {
      await renewal()
      expect(pc.configured.at(-1)).toBe(newest())
    }
    expect(new Set(pc.configured.map((servers) => usernameOf(servers))).size).toBe(6)
    expect(told.update).toHaveLength(6)
    expect(pc.getConfiguration()).toMatchObject({ bundlePolicy: 'max-bundle' })
  })

  it.each<[How, 'transport' | 'selected' | 'nominated']>([
    ['relayed here', 'transport'],
    ['relayed there', 'transport'],
    ['relayed here', 'selected'],
    ['relayed there', 'nominated'],
  ])(
    'An attached connection that is %s, as reported by %s, restarts ICE once at every renewal',
    async (how, browser) => {
      const { pc, renewal, idle } = await withPeer('direct')
      pc.selects(how, browser)
      for (let round = 1; round <= 4; round++) {
        await renewal()
        await idle()
        expect(pc.restarts).toHaveLength(round)
        pc.gathers()
      }
    },
  )

  it.each<'transport' | 'selected' | 'nominated'>(['transport', 'selected', 'nominated'])(
    'An attached connection that is not relayed, according to %s, is never restarted, not even when it breaks',
    async (browser) => {
      const { pc, pass, sent } = await withPeer('relayed here')
      pc.selects('direct', browser)
      await pass(HOUR_MS)
      const asked = sent.length
      pc.becomes('disconnected')
      await pass(10 * SECOND_MS)
      pc.selects(undefined)
      pc.becomes('failed')
      await pass(10 * SECOND_MS)
      expect(pc.restarts).toEqual([])
      expect(sent.length - asked).toBeLessThanOrEqual(1) // the regular renewal may fall into it
    },
  )

  it('An attached connection that the other side restarts, and did, is only given the lists', async () => {
    const { pc, renewal, newest, pass } = await withPeer('relayed here', { initiator: false })
    await renewal()
    pc.becomes('disconnected')
    await pass(MINUTE_MS)
    pc.connects('relayed here') // with what the other side's restart led to
    expect(pc.configured.at(-1)).toBe(newest())
    for (let round = 0; round < 6; round++) {
      await renewal()
      pc.gathers()
    }
    expect(pc.restarts).toEqual([])
  })

  it('An attached connection that the other side should restart, and did not, restarts before its own credential ends, once', async () => {
    const { pc, pass, told } = await withPeer('relayed here', { initiator: false })
    const end = told.update[0]?.expiresAt ?? 0
    await pass(end - Date.now() - 31 * SECOND_MS)
    expect(told.update.length).toBeGreaterThan(1)
    expect(pc.restarts).toEqual([])
    await pass(31 * SECOND_MS)
    expect(pc.restarts).toHaveLength(1)
    expect(pc.restarts[0]).toBeLessThan(end - 5 * SECOND_MS)
  })

  it.each([
    ['15 minutes', 900],
    ['an hour', 3_600],
  ])(
    'An attached connection whose side does not initiate is never relayed past its end, with %s and another life here',
    async (_, ttl) => {
      const lives = { ttl, refreshAfter: ttl / 2 }
      const world = playedWorld(() => listAnswer(lives))
      const pc = newPeer(await world.done(world.client.get()))
      world.client.attach(pc, { initiator: false })
      pc.connects('relayed here')
      const late: number[] = []
      let end = world.told.update[0]?.expiresAt ?? 0
      let [restarts, others] = [0, Date.now()]
      const negotiate = () => {
        pc.gathers()
        end = world.told.update.at(-1)?.expiresAt ?? 0
      }
      await world.pass(6 * HOUR_MS, () => {
        if (pc.restarts.length > restarts) negotiate()
        restarts = pc.restarts.length
        // The other side, which restarts for its own credential of an hour.
        if (Date.now() - others > 1_900 * SECOND_MS) {
          negotiate()
          others = Date.now()
        }
        if (Date.now() >= end) late.push(Date.now() - end)
      })
      expect(late).toEqual([])
    },
  )

  it('An attached connection that became relayed after the renewal is moved shortly before its old credential ends', async () => {
    const { pc, renewal, pass, told, world } = await withPeer('direct')
    const end = told.update[0]?.expiresAt ?? 0
    await renewal()
    world.play = () => new Error('network') // no further renewal
    pc.selects('relayed here')
    await pass(end - Date.now() - 31 * SECOND_MS - 1)
    expect(pc.restarts).toEqual([])
    await pass(31 * SECOND_MS)
    expect(pc.restarts).toHaveLength(1)
    expect(pc.restarts[0]).toBeLessThan(end - 5 * SECOND_MS)
  })

  it('An attached connection that gathered with the new list already is not restarted for the old one', async () => {
    const { pc, renewal, pass, told, world } = await withPeer('direct')
    const end = told.update[0]?.expiresAt ?? 0
    await renewal()
    world.play = () => new Error('network') // no further renewal
    pc.connects('relayed here') // the page negotiates again
    await pass(end - Date.now() + SECOND_MS)
    expect(pc.restarts).toEqual([])
  })

  it.each<[string, object, number]>([
    ['at once', {}, 1],
    ['soon, unless the other side does,', { initiator: false }, 0],
  ])('An attached connection made with a list that is not the current one is moved %s', async (_, options, atOnce) => {
    const world = await newWorld()
    await world.done(world.client.get())
    const pc = newPeer({ iceServers: [{ urls: ['turn:a'], username: 'another', credential: 'c' }] })
    pc.connects('relayed here')
    world.client.attach(pc, options)
    await world.idle()
    expect(pc.restarts).toHaveLength(atOnce)
    await world.pass(31 * SECOND_MS)
    expect(pc.restarts).toHaveLength(1)
    expect(world.sent).toHaveLength(1)
  })

  it('An attached connection made before it was attached, and relayed only later, is moved when it connects', async () => {
    const world = playedWorld(() => listAnswer(TEN_MINUTES))
    await world.done(world.client.get())
    const pc = newPeer({ iceServers: [{ urls: ['turn:a'], username: 'another', credential: 'c' }] })
    world.client.attach(pc)
    await world.pass(MINUTE_MS)
    expect(pc.restarts).toEqual([])
    pc.selects('relayed here')
    pc.becomes('connected')
    await world.idle()
    expect(pc.restarts).toHaveLength(1)
  })

  it('An attached connection is not restarted for the credential it has: the broker gave it once more', async () => {
    const world = await newWorld()
    const pc = newPeer(await world.done(world.client.get()))
    world.client.attach(pc)
    pc.connects('relayed here')
    await world.pass(29 * MINUTE_MS)
    expect(world.told.update.map(({ source }) => source)).toEqual(['minted', 'reused'])
    expect(pc.restarts).toEqual([])
    await world.pass(10 * MINUTE_MS)
    expect(world.told.update.at(-1)?.source).toBe('minted')
    expect(pc.restarts).toHaveLength(1)
  })
})
