/** The state of the browser library as user interfaces read it: snapshots and their listeners, the plain form, one token as text. */
import { describe, expect, it, vi } from 'vitest'
import type { Snapshot } from '../../src/client/api.ts'
import { createIceServers } from '../../src/client/iceServers.ts'
import { HOUR_MS, MINUTE_MS, SECOND_MS } from '../support/broker/clock.ts'
import {
  listAnswer,
  newWorld,
  type Play,
  playedWorld,
  problem,
  STUN_ONLY,
  type World,
} from '../support/client/world.ts'

const WAITING = { list: null, error: null }

/** Subscribes, and keeps what the listener is called with. */
function watched(world: World): { heard: Snapshot[]; unsubscribe: () => void } {
  const heard: Snapshot[] = []
  const unsubscribe = world.client.subscribe((snapshot) => heard.push(snapshot))
  return { heard, unsubscribe }
}

describe('a snapshot', () => {
  it('A snapshot is there before anything was sent, and reading it sends nothing', async () => {
    const world = playedWorld(() => listAnswer())
    expect(world.client.getSnapshot()).toEqual(WAITING)
    await world.pass(HOUR_MS)
    expect(world.client.getSnapshot()).toEqual(WAITING)
    expect(world.sent).toHaveLength(0)
  })

  it('A snapshot has the list that get() gives, once somebody has subscribed, and each renewed one', async () => {
    const world = await newWorld()
    const { heard } = watched(world)
    await world.idle()
    expect(heard).toEqual([{ list: await world.client.get(), error: null }])
    await world.pass(HOUR_MS)
    expect(heard.map(({ list }) => list)).toEqual(world.told.update)
    expect(heard.length).toBeGreaterThan(1)
    expect(heard.every(({ error }) => error === null)).toBe(true)
  })

  it('A snapshot is the same object until something changes, and the object that listeners were called with', async () => {
    const world = playedWorld(() => listAnswer())
    const { heard } = watched(world)
    await world.idle()
    const [first] = heard
    await world.pass(20 * MINUTE_MS, () => expect(world.client.getSnapshot()).toBe(first))
    expect(heard).toHaveLength(1)
    await world.pass(20 * MINUTE_MS)
    expect(heard).toHaveLength(2)
    expect(world.client.getSnapshot()).toBe(heard[1])
    expect(heard[1]).not.toBe(first)
  })

  it('A snapshot keeps the list beside the error while it is valid, loses it at its end, and recovers', async () => {
    const away: Play = (nth) => (nth === 1 ? listAnswer() : new Error('away'))
    const world = playedWorld(away)
    const { heard } = watched(world)
    await world.pass(40 * MINUTE_MS)
    const { list, error } = world.client.getSnapshot()
    expect(list).toBe(heard[0]?.list)
    expect(error).toMatchObject({ name: 'IceServersError', code: 'network', retryInSeconds: expect.any(Number) })
    await world.pass(HOUR_MS, () => {
      const { list } = world.client.getSnapshot()
      if (list && list.expiresAt < Date.now()) throw new Error('the list has expired')
    })
    expect(world.client.getSnapshot()).toMatchObject({ list: null, error: { code: 'network' } })
    world.play = () => listAnswer()
    await world.pass(2 * MINUTE_MS)
    expect(world.client.getSnapshot()).toEqual({ list: world.told.update.at(-1), error: null })
  })

  it('A snapshot loses its list at the end also when a refusal ended all attempts before', async () => {
    const world = playedWorld((nth) => (nth === 1 ? listAnswer() : problem(403, 'subject_banned')))
    watched(world)
    await world.pass(40 * MINUTE_MS)
    expect(world.client.getSnapshot()).toMatchObject({ list: {}, error: { code: 'subject_banned', status: 403 } })
    expect(world.client.getSnapshot().error).not.toHaveProperty('retryInSeconds')
    await world.pass(HOUR_MS)
    expect(world.client.getSnapshot()).toMatchObject({ list: null, error: { code: 'subject_banned' } })
  })

  it.each<[code: string, after: string, play: Play]>([
    ['stun_only', 'a list that relays', (nth) => listAnswer(nth === 1 ? {} : STUN_ONLY)],
    ['stun_only', 'nothing', () => listAnswer(STUN_ONLY)],
    [
      'not_renewed',
      'the same credential',
      () =>
        listAnswer({ iceServers: [{ urls: ['turn:turn.test'], username: 'u', credential: 'c' }], refreshAfter: 600 }),
    ],
  ])('A snapshot says %s after %s, as onDegraded does', async (code, _, play) => {
    const world = playedWorld(play)
    watched(world)
    await world.pass(35 * MINUTE_MS)
    const { list, error } = world.client.getSnapshot()
    const told = world.told.degraded.at(-1)
    expect(error).toMatchObject({ code, retryInSeconds: told?.retryInSeconds })
    expect([list?.expiresAt, told?.code]).toEqual([told?.expiresAt, code])
  })
})

describe('a listener', () => {
  it('A listener is called until it unsubscribes, also when it subscribed twice', async () => {
    const world = playedWorld(() => listAnswer())
    const listener = vi.fn()
    const unsubscribe = [world.client.subscribe(listener), world.client.subscribe(listener)]
    await world.idle()
    expect(listener).toHaveBeenCalledTimes(2)
    unsubscribe[0]?.()
    unsubscribe[0]?.()
    await world.pass(30 * MINUTE_MS)
    expect(listener).toHaveBeenCalledTimes(3)
    unsubscribe[1]?.()
    await world.pass(HOUR_MS)
    expect(listener).toHaveBeenCalledTimes(3)
    expect(world.sent.length).toBeGreaterThan(3)
  })

  it('A listener that throws ends neither the library nor the other listeners', async () => {
    const shown = vi.spyOn(console, 'error').mockImplementation(() => undefined)
    const world = playedWorld(() => listAnswer())
    world.client.subscribe(() => {
      throw new Error('of the page')
    })
    const { heard } = watched(world)
    await world.pass(40 * MINUTE_MS)
    expect(heard).toHaveLength(2)
    expect(shown).toHaveBeenCalledTimes(2)
    shown.mockRestore()
  })

  it('A listener is not called after stop(), and a later one sends nothing', async () => {
    const world = playedWorld(() => listAnswer())
    const { heard } = watched(world)
    await world.idle()
    world.client.stop()
    const later = watched(world)
    await world.pass(2 * HOUR_MS)
    expect([heard.length, later.heard.length, world.sent.length]).toEqual([1, 0, 1])
    later.unsubscribe()
  })
})

describe('the plain form', () => {
  it.each([
    ['a function', () => Promise.resolve('token')],
    ['text', 'token'],
  ])('The plain form takes the address, the token as %s, and the other options', async (_, token) => {
    const world = playedWorld(() => listAnswer())
    const bodies: string[] = []
    const fetch = async (url: unknown, init: RequestInit = {}) => {
      bodies.push(`${String(url)} ${String(init.body)}`)
      return listAnswer()
    }
    const client = createIceServers('https://turn.test/door', token, {
      ttl: 60,
      fetch: fetch as typeof globalThis.fetch,
    })
    expect(await world.done(client.get())).toMatchObject({ source: 'minted' })
    expect(bodies).toEqual(['https://turn.test/door access_token=token&ttl=60'])
    client.stop()
  })
})

describe('one token as text', () => {
  it('One token as text is sent with every request', async () => {
    const world = playedWorld(() => listAnswer(), { getToken: 'handed-out' })
    await world.done(world.client.get())
    await world.pass(2 * HOUR_MS)
    expect(world.sent.length).toBeGreaterThan(3)
    expect(new Set(world.sent.map(({ body }) => body))).toEqual(new Set(['access_token=handed-out']))
  })

  it('One token as text is not sent again at once after a 401, but after a pause: the broker may learn its key', async () => {
    const world = playedWorld((nth) => (nth < 3 ? problem(401, 'invalid_token') : listAnswer()), { getToken: 'early' })
    await expect(world.done(world.client.get())).rejects.toMatchObject({ code: 'invalid_token', status: 401 })
    expect(world.sent).toHaveLength(1)
    await world.pass(6 * SECOND_MS)
    expect(world.sent).toHaveLength(3)
    expect(world.client.getSnapshot()).toMatchObject({ list: { source: 'minted' }, error: null })
  })

  it('One token as text that is empty is no token', async () => {
    const world = playedWorld(() => listAnswer(), { getToken: '' })
    await expect(world.done(world.client.get())).rejects.toMatchObject({ code: 'token_unavailable' })
    expect(world.sent).toHaveLength(0)
  })
})
