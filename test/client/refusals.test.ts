/** The browser library and answers with a meaning of their own: 401, 403, stun-only; and callbacks that misbehave. */

import { describe, expect, it, vi } from 'vitest'
import { createIceServers } from '../../src/client/iceServers.ts'
import { newBroker, ORIGIN } from '../support/broker/broker.ts'
import { HOUR_MS, MINUTE_MS, SECOND_MS } from '../support/broker/clock.ts'
import { clientToken, iceServersPath, postForm, served, tenantPath } from '../support/broker/doors.ts'
import { emulator } from '../support/broker/upstream.ts'
import { newPeer } from '../support/client/peer.ts'
import {
  listAnswer,
  newWorld,
  type Play,
  playedWorld,
  problem,
  STUN_ONLY,
  usernameOf,
  type World,
} from '../support/client/world.ts'

const playing = (world: Pick<World, 'play'>, play: Play) => {
  world.play = play
}

describe('a token', () => {
  it('A token that the broker no longer takes is asked for once more at once', async () => {
    let given = 0
    const getToken = async () => (given++ === 0 ? 'old' : 'new')
    const world = playedWorld((nth) => (nth === 1 ? problem(401, 'invalid_token') : listAnswer()), { getToken })
    await world.done(world.client.get())
    expect(world.sent.map(({ body }) => body)).toEqual(['access_token=old', 'access_token=new'])
    expect([world.told.error, world.told.degraded]).toEqual([[], []])
  })

  it('A token is asked for with nothing: what providers offer takes an argument for "by force"', async () => {
    const given: unknown[][] = []
    const getToken = async (...all: unknown[]) => {
      given.push(all)
      return 'token'
    }
    const world = playedWorld(() => listAnswer(), { getToken })
    await world.done(world.client.get())
    expect(given).toEqual([[]])
  })

  it('A token of the real broker that has expired is replaced the same way', async () => {
    const tokens: string[] = []
    const world = await newWorld({ options: { getToken: () => tokens.shift() ?? fresh() } })
    const fresh = async () => {
      const path = tenantPath('acme', 'client-tokens')
      const answer = await world.broker.call('POST', path, world.acme.token, { subject: 'alice' })
      return String(answer.json.token)
    }
    tokens.push(await fresh())
    await world.pass(2 * HOUR_MS)
    await world.done(world.client.get())
    expect(world.sent).toHaveLength(2)
    expect(world.told.update).toHaveLength(1)
  })

  it.each<[string, () => string | Promise<string>]>([
    ['throws', () => JSON.parse('{')],
    ['rejects', () => Promise.reject(new Error('signed out'))],
    ['gives nothing', async () => ''],
    ['never settles', () => new Promise<string>(() => {})],
  ])('A token that cannot be had, because getToken %s, is a failure like others', async (_, getToken) => {
    const world = playedWorld(() => listAnswer(), { getToken })
    const got = world.client.get()
    got.catch(() => undefined)
    await world.pass(31 * SECOND_MS)
    await expect(got).rejects.toMatchObject({ code: 'token_unavailable' })
    await world.pass(10 * MINUTE_MS)
    expect(world.sent).toEqual([])
    expect(world.told.error).toHaveLength(1)
  })
})

describe('a 403', () => {
  it.each([['subject_banned'], ['origin_not_allowed'], ['insufficient_scope'], ['https_required']])(
    'A 403 ends the requests for good with the code %s; the list is given until its end',
    async (code) => {
      const world = playedWorld(() => listAnswer({ ttl: 600, refreshAfter: 300 }))
      const list = await world.done(world.client.get())
      playing(world, () => problem(403, code))
      await world.pass(5 * MINUTE_MS)
      expect(world.told.error).toMatchObject([{ code, status: 403 }])
      expect(world.told.error[0]).not.toHaveProperty('retryInSeconds')
      expect(await world.client.get()).toBe(list)
      await world.pass(HOUR_MS)
      await expect(world.client.get()).rejects.toBe(world.told.error[0])
      world.sleep(HOUR_MS)
      const pc = newPeer()
      world.client.attach(pc)
      pc.connects('relayed here')
      pc.becomes('failed')
      await world.pass(HOUR_MS)
      expect(world.sent).toHaveLength(2)
      expect(world.told.error).toHaveLength(1)
      expect(vi.getTimerCount()).toBe(1) // of the connection that is still there
    },
  )

  it.each<[string, () => Response]>([
    ['tenant_suspended', () => problem(403, 'tenant_suspended')],
    ['http_403', () => new Response('<html>Sign in to this network</html>', { status: 403 })],
  ])('A 403 with the code %s, which may pass, is asked again after 30 to 60 s', async (code, play) => {
    const world = playedWorld(play)
    world.client.get().catch(() => undefined)
    await world.pass(SECOND_MS)
    expect(world.told.error).toMatchObject([{ code, status: 403 }])
    expect(world.told.error[0]?.retryInSeconds).toBeGreaterThanOrEqual(30)
    await world.pass(28 * SECOND_MS)
    expect(world.sent).toHaveLength(1)
    await world.pass(5 * MINUTE_MS)
    expect(world.sent.length).toBeGreaterThanOrEqual(5)
    expect(world.sent.length).toBeLessThanOrEqual(11)
    playing(world, () => listAnswer())
    await world.pass(MINUTE_MS)
    expect((await world.client.get()).source).toBe('minted')
  })

  it('A 403 is what the real broker says to a banned subject', async () => {
    const world = await newWorld()
    await world.done(world.client.get())
    const until = new Date(Date.now() + 24 * HOUR_MS).toISOString()
    await world.broker.call('POST', tenantPath('acme', 'bans'), world.acme.token, { subject: 'alice', until })
    await world.pass(2 * HOUR_MS)
    expect(world.told.error).toMatchObject([{ code: 'subject_banned', status: 403 }])
    expect(world.sent).toHaveLength(2)
    await expect(world.client.get()).rejects.toMatchObject({ code: 'subject_banned' })
  })

  it('A 403 is reported even after another failure was', async () => {
    const world = playedWorld((nth) => (nth < 3 ? new Error('network') : problem(403, 'subject_banned')))
    world.client.get().catch(() => undefined)
    await world.pass(HOUR_MS)
    expect(world.told.error.map(({ code }) => code)).toEqual(['network', 'subject_banned'])
  })
})

describe('an answer without relays', () => {
  it('An answer without relays is used, reported as degraded, and asked for again after its time', async () => {
    const world = playedWorld(() => listAnswer(STUN_ONLY))
    const list = await world.done(world.client.get())
    expect(list).toMatchObject({ source: 'stun-only', iceServers: STUN_ONLY.iceServers })
    expect(world.told.degraded).toMatchObject([{ code: 'stun_only', expiresAt: list.expiresAt }])
    await world.pass(HOUR_MS)
    expect(world.sent.length).toBeGreaterThan(55)
    expect(world.sent.length).toBeLessThan(90)
    expect(world.told.error).toEqual([])
    playing(world, () => listAnswer())
    await world.pass(MINUTE_MS)
    expect((await world.client.get()).source).toBe('minted')
  })

  it('An answer without relays does not take the place of a list that still relays', async () => {
    const world = playedWorld(() => listAnswer({ ttl: 600, refreshAfter: 300 }))
    const list = await world.done(world.client.get())
    playing(world, () => listAnswer(STUN_ONLY))
    await world.pass(9 * MINUTE_MS)
    expect(await world.client.get()).toBe(list)
    expect(world.told.degraded.at(-1)).toMatchObject({ code: 'stun_only', expiresAt: list.expiresAt })
    await world.pass(2 * MINUTE_MS)
    expect(await world.client.get()).toMatchObject({ source: 'stun-only' })
    expect(world.told.error).toEqual([])
  })

  it('An answer without relays comes from the real broker when its upstream fails', async () => {
    const broker = newBroker()
    const acme = await served(broker, 'acme', { policy: { fallback: 'stun' } })
    await emulator.fault({ operation: 'generate-ice-servers', fault: { kind: 'status', status: 500 }, times: 'always' })
    const degraded: unknown[] = []
    const client = createIceServers({
      url: ORIGIN + iceServersPath('acme'),
      getToken: () => clientToken(broker, acme),
      fetch: async (_, init) => {
        const { text, status, headers } = await postForm(broker, 'acme', String(init?.body))
        return new Response(text, { status, headers })
      },
      onDegraded: (state) => degraded.push(state),
    })
    const list = await client.get()
    client.stop()
    expect(list.source).toBe('stun-only')
    expect(usernameOf(list.iceServers)).toBeUndefined()
    expect(degraded).toMatchObject([{ code: 'stun_only' }])
  })
})

describe('a callback', () => {
  it.each<[string, () => unknown]>([
    ['throws', () => JSON.parse('{')],
    ['rejects', () => Promise.reject(new Error('mine'))],
  ])('A callback that %s ends nothing', async (_, callback) => {
    const logged = vi.spyOn(console, 'error').mockImplementation(() => undefined)
    const options = { onUpdate: callback, onDegraded: callback, onError: callback }
    const play: Play = (nth) => (nth % 2 ? listAnswer({ ttl: 600, refreshAfter: 300 }) : new Error('network'))
    const world = playedWorld(play, options)
    await world.done(world.client.get())
    await world.pass(HOUR_MS)
    expect(world.sent.length).toBeGreaterThan(12)
    expect(logged.mock.calls.length).toBeGreaterThan(12)
    logged.mockRestore()
  })

  it('A callback may ask for the list, or stop the library', async () => {
    const given: unknown[] = []
    const world: World = playedWorld(() => new Error('network'), {
      onError: () => {
        world.client.get().catch((error: unknown) => given.push(error))
        world.client.stop()
      },
    })
    await expect(world.done(world.client.get())).rejects.toMatchObject({ code: 'stopped' })
    await world.pass(HOUR_MS)
    expect(world.sent).toHaveLength(1)
    expect(given).toHaveLength(1)
  })
})
