/** The browser library and relayed connections that break: a new credential, an ICE restart, and no storm. */
import { describe, expect, it } from 'vitest'
import { MINUTE_MS, SECOND_MS } from '../support/broker/clock.ts'
import { newPeer, TEN_MINUTES, withPeer } from '../support/client/peer.ts'
import { listAnswer, type Play, STUN_ONLY } from '../support/client/world.ts'

describe('a relayed connection that breaks', () => {
  it.each(['disconnected', 'failed'])(
    'A relayed connection that breaks by %s gets a new credential and an ICE restart at once',
    async (state) => {
      const { pc, sent, idle, newest } = await withPeer('relayed here')
      if (state === 'failed') pc.selects(undefined) // nothing is selected any more
      pc.becomes(state)
      await idle()
      expect(sent).toHaveLength(2)
      expect(pc.configured.at(-1)).toBe(newest())
      expect(pc.restarts).toHaveLength(1)
    },
  )

  it('A relayed connection that breaks is not restarted when it came back by itself meanwhile', async () => {
    const { pc, world, idle } = await withPeer('relayed here')
    world.play = () => {
      pc.becomes('connected')
      return listAnswer({ source: 'reused', iceServers: world.told.update[0]?.iceServers })
    }
    pc.becomes('disconnected')
    await idle()
    expect(pc.restarts).toEqual([])
  })

  it('A relayed connection that breaks again and again causes a bounded number of requests and restarts', async () => {
    const { pc, sent, pass } = await withPeer('relayed here')
    for (let second = 0; second < 600; second++) {
      pc.becomes(second % 2 ? 'disconnected' : 'failed')
      await pass(SECOND_MS)
    }
    expect(sent.length).toBeLessThan(70)
    expect(pc.restarts.length).toBeLessThan(70)
    expect(pc.restarts.length).toBeGreaterThan(30)
  })

  it('A relayed connection that breaks for two seconds in every twenty leaves the user credentials to take', async () => {
    const { pc, sent, pass } = await withPeer('relayed here')
    for (let blip = 0; blip < 180; blip++) {
      pc.becomes('disconnected')
      await pass(2 * SECOND_MS)
      pc.becomes('connected')
      await pass(18 * SECOND_MS)
    }
    const within = (from: number, minutes: number) =>
      sent.filter(({ at }) => at >= from && at < from + minutes * MINUTE_MS).length
    const [{ at: begun } = { at: 0 }] = sent
    // One at the start, and up to three regular renewals of these short lists.
    expect(within(begun, 10)).toBeLessThanOrEqual(1 + 6 + 3)
    expect(within(begun + 10 * MINUTE_MS, 50)).toBeLessThanOrEqual(5 + 13)
    // After a quiet while it is helped as fast as the first time.
    await pass(21 * MINUTE_MS)
    for (const _ of [1, 2]) {
      const before = sent.length
      pc.becomes('disconnected')
      await pass(SECOND_MS)
      expect(sent.length).toBeGreaterThan(before)
      pc.becomes('connected')
      await pass(11 * SECOND_MS)
    }
  })

  it('A relayed connection that breaks soon again and stays so is given a new credential as soon as there may be one, without a further event', async () => {
    const { pc, sent, pass } = await withPeer('relayed here')
    for (let blip = 0; blip < 3; blip++) {
      pc.becomes('disconnected')
      await pass(SECOND_MS)
      pc.becomes('connected')
      await pass(11 * SECOND_MS)
    }
    expect(sent).toHaveLength(3)
    pc.becomes('disconnected')
    await pass(20 * SECOND_MS)
    expect(sent).toHaveLength(4)
    const { length } = pc.restarts
    await pass(2 * MINUTE_MS)
    expect([sent.length, pc.restarts.length], 'and then left alone').toEqual([4, length])
  })

  it('A relayed connection that breaks and is still broken when it may be tried again is tried again, without a further event', async () => {
    const { pc, pass } = await withPeer('relayed here')
    pc.becomes('disconnected')
    await pass(5 * SECOND_MS)
    pc.becomes('failed')
    await pass(SECOND_MS)
    expect(pc.restarts).toHaveLength(1)
    await pass(5 * SECOND_MS)
    expect(pc.restarts).toHaveLength(2)
  })

  it('A relayed connection that breaks together with many others causes one request', async () => {
    const { pc, world, sent, idle } = await withPeer('relayed here')
    const others = Array.from({ length: 20 }, () => newPeer())
    for (const other of others) {
      world.client.attach(other)
      other.connects('relayed there')
    }
    await idle()
    for (const each of [pc, ...others]) each.becomes('disconnected')
    await idle()
    expect(sent).toHaveLength(2)
    for (const each of [pc, ...others]) expect(each.restarts).toHaveLength(1)
  })

  it('A relayed connection that breaks while the broker is down is restarted with what there is, and again when a new list comes', async () => {
    const { pc, world, pass } = await withPeer('relayed here')
    world.play = () => new Error('network')
    pc.becomes('disconnected')
    await pass(SECOND_MS - 1)
    expect(pc.restarts).toHaveLength(1)
    pc.selects(undefined)
    pc.becomes('failed')
    await pass(20 * MINUTE_MS) // all lists have ended
    const before = pc.restarts.length
    expect(before).toBeLessThanOrEqual(2)
    world.play = () => listAnswer(TEN_MINUTES)
    await pass(61 * SECOND_MS)
    expect(pc.restarts).toHaveLength(before + 1)
  })

  it('A relayed connection that breaks one after the other with many more, causes few requests, too', async () => {
    const { pc, world, sent, pass } = await withPeer('relayed here')
    const all = [pc, ...Array.from({ length: 30 }, () => newPeer())]
    for (const each of all) {
      world.client.attach(each)
      each.connects('relayed here')
    }
    for (const each of all) {
      each.becomes('disconnected')
      await pass(SECOND_MS)
      each.becomes('connected')
    }
    expect(sent.length).toBeLessThanOrEqual(1 + 4)
    for (const each of all) expect(each.restarts.length).toBeGreaterThan(0)
  })

  it('A relayed connection that breaks is restarted when the broker is back, also with the same credential', async () => {
    const { pc, world, pass } = await withPeer('relayed here')
    const same = { ...TEN_MINUTES, source: 'reused', iceServers: world.told.update[0]?.iceServers }
    world.play = () => new Error('network')
    pc.becomes('disconnected')
    await pass(SECOND_MS - 1)
    expect(pc.restarts).toHaveLength(1)
    world.play = () => listAnswer(same)
    await pass(2 * SECOND_MS)
    expect(pc.restarts).toHaveLength(2)
  })

  it.each<[string, Play]>([
    ['stun-only', () => listAnswer(STUN_ONLY)],
    ['an error', () => new Error('network')],
  ])('A relayed connection that breaks does not get past what the broker asks to wait: %s', async (_, play) => {
    const { pc, world, sent, pass } = await withPeer('relayed here')
    world.play = play
    for (let second = 0; second < 300; second++) {
      pc.becomes(second % 2 ? 'disconnected' : 'failed')
      await pass(SECOND_MS)
    }
    expect(sent.length).toBeLessThan(25)
  })
})
