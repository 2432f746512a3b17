/** The browser library and its connections: when they are attached, let go of, or take no configuration. */
import { describe, expect, it, vi } from 'vitest'
import { HOUR_MS, MINUTE_MS, SECOND_MS } from '../support/broker/clock.ts'
import { newPeer, withPeer } from '../support/client/peer.ts'
import { newWorld } from '../support/client/world.ts'

describe('an attached connection', () => {
  it('An attached connection may be attached before there is a list, and fetches one', async () => {
    const world = await newWorld()
    const pc = newPeer()
    world.client.attach(pc)
    await world.idle()
    expect(world.sent).toHaveLength(1)
    expect(pc.configured).toEqual([world.told.update[0]?.iceServers])
    pc.connects('relayed here')
    await world.pass(30 * SECOND_MS)
    expect(pc.restarts).toEqual([])
  })

  it('An attached connection is let go of when it is closed, or detached', async () => {
    const { pc, pass, world, detach } = await withPeer('relayed here')
    const other = newPeer()
    world.client.attach(other)
    pc.close()
    await pass(31 * SECOND_MS)
    expect(pc.listeners()).toBe(0)
    expect(other.listeners()).toBe(2)
    detach()
    const attached = newPeer()
    world.client.attach(attached)()
    attached.connects('relayed here')
    await pass(HOUR_MS)
    expect([attached.restarts, attached.configured.length, attached.listeners()]).toEqual([[], 1, 0])
    expect([pc.restarts, pc.configured.length]).toEqual([[], 1])
    const closed = newPeer()
    closed.close()
    world.client.attach(closed)
    expect(closed.listeners()).toBe(0)
  })

  it('An attached connection attached twice is listened to once', async () => {
    const { pc, world, renewal, idle } = await withPeer('relayed here')
    world.client.attach(pc)
    expect(pc.listeners()).toBe(2)
    await renewal()
    await idle()
    expect(pc.restarts).toHaveLength(1)
  })

  it('An attached connection that refuses a configuration is not restarted with its old credential, and is when it takes the new one', async () => {
    const logged = vi.spyOn(console, 'error').mockImplementation(() => undefined)
    const { pc, world, renewal, idle, pass } = await withPeer('relayed here')
    const { setConfiguration } = pc
    pc.setConfiguration = () => {
      throw new DOMException('no', 'InvalidModificationError')
    }
    await renewal()
    await idle()
    pc.becomes('disconnected')
    await pass(MINUTE_MS)
    expect(pc.restarts).toEqual([])
    expect(logged).toHaveBeenCalled()
    pc.becomes('connected')
    world.play = () => new Error('network') // no further renewal
    pc.setConfiguration = setConfiguration
    await pass(4 * MINUTE_MS)
    expect(pc.restarts).toHaveLength(1)
    expect(pc.configured.at(-1)).toBe(world.told.update.at(-1)?.iceServers)
    logged.mockRestore()
  })

  it('An attached connection that refuses a configuration disturbs no other', async () => {
    const logged = vi.spyOn(console, 'error').mockImplementation(() => undefined)
    const { world, renewal, newest } = await withPeer('relayed here')
    const stubborn = newPeer()
    stubborn.setConfiguration = () => {
      throw new DOMException('no', 'InvalidModificationError')
    }
    const other = newPeer()
    world.client.attach(stubborn)
    world.client.attach(other)
    await renewal()
    expect(other.configured.at(-1)).toBe(newest())
    expect(logged).toHaveBeenCalled()
    logged.mockRestore()
  })
})
