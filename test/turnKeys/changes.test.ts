/** Renaming a TURN key: at once, in doubt, refused, of a key that is gone, and two at a time. */

import { describe, expect, it } from 'vitest'
import type { FaultOrderInput } from '../../emulator/client.ts'
import type { Answer } from '../support/broker/answer.ts'
import { type Broker, expectStatus, keysPath, newBroker, newTenant, newTurnKey } from '../support/broker/broker.ts'
import { MINUTE_MS, passTime, until } from '../support/broker/clock.ts'
import { expectFailure } from '../support/broker/errors.ts'
import { countAsked, emulator, liveKeys } from '../support/broker/upstream.ts'
import { runJobs } from '../support/storage/storage.ts'
import { breakAudit, jobRows, keyRows } from '../support/storage/tenantRows.ts'

interface Named {
  uid: string
  rename(name?: string): Promise<Answer>
  /** As the tenant sees it, and as upstream has it, without the marker. */
  names(): Promise<{ here: string; upstream: string | undefined }>
}

async function namedKey(broker: Broker): Promise<Named> {
  const acme = await newTenant(broker, 'acme')
  const uid = await newTurnKey(broker, acme, 'first')
  return {
    uid,
    rename: (name) => broker.call('PUT', keysPath('acme', uid), acme.token, { name }),
    async names() {
      const list = await broker.call('GET', keysPath('acme'), acme.token)
      const [row] = await keyRows('acme')
      const [live] = await liveKeys()
      const upstream = live?.name.startsWith(`tb.test.${row?.intent} `) ? live.name.slice(26) : live?.name
      return { here: String(list.json.result[0]?.name), upstream }
    },
  }
}

describe('a rename', () => {
  it('A rename is sent upstream under the same marker, and leaves uid and secret as they were', async () => {
    const key = await namedKey(newBroker())
    const [before] = await keyRows('acme')
    const renamed = await key.rename('second – ☎')
    expect(renamed.json.result, renamed.text).toMatchObject({ uid: key.uid, name: 'second – ☎', state: 'active' })
    expect(await key.names()).toEqual({ here: 'second – ☎', upstream: 'second – ☎' })
    const [after] = await keyRows('acme')
    expect(after).toMatchObject({
      intent: before?.intent,
      uid: before?.uid,
      sealed: before?.sealed,
      pending_name: null,
    })
    expect(await jobRows('acme')).toEqual([])
  })

  it('A rename to the name it has, or without a name, asks nobody upstream', async () => {
    const key = await namedKey(newBroker())
    for (const name of ['first', undefined]) {
      expect((await key.rename(name)).json.result).toMatchObject({ name: 'first' })
    }
    expect(await countAsked('update')).toBe(0)
  })

  it('A rename to the empty name is one', async () => {
    const key = await namedKey(newBroker())
    expect((await key.rename('')).json.result).toMatchObject({ name: '' })
    const [row] = await keyRows('acme')
    expect((await liveKeys())[0]?.name).toBe(`tb.test.${row?.intent}`)
  })

  it('A rename that storage refuses never reaches upstream', async () => {
    const key = await namedKey(newBroker())
    await breakAudit('acme')
    expectFailure(await key.rename('second'), 'storage_failed')
    expect(await countAsked('update')).toBe(0)
    expect(await keyRows('acme')).toMatchObject([{ name: 'first', pending_name: null }])
  })
})

type Fault = FaultOrderInput['fault']
const doubts: [string, Fault, 'upstream_failed' | 'upstream_unavailable'][] = [
  ['500 after it took effect', { kind: 'status', status: 500, when: 'after' }, 'upstream_failed'],
  ['503 before', { kind: 'status', status: 503 }, 'upstream_failed'],
  ['a reset before the body', { kind: 'reset', at: 'before-body' }, 'upstream_failed'],
  ['a reset after it took effect', { kind: 'reset', at: 'after-body' }, 'upstream_failed'],
  ['a reset in the answer', { kind: 'reset', at: 'mid-response' }, 'upstream_failed'],
  ['half an answer', { kind: 'truncate', by: 'content-length' }, 'upstream_failed'],
  ['another key’s uid', { kind: 'shape', shape: 'foreign-uid' }, 'upstream_failed'],
  ['success false', { kind: 'shape', shape: 'success-false' }, 'upstream_failed'],
  ['HTML', { kind: 'shape', shape: 'html' }, 'upstream_failed'],
  ['no uid', { kind: 'shape', shape: 'missing-key' }, 'upstream_failed'],
  ['megabytes', { kind: 'shape', shape: 'huge-stream' }, 'upstream_failed'],
  ['a redirect', { kind: 'redirect', location: '/elsewhere' }, 'upstream_failed'],
  ['a request to wait', { kind: 'rate-limit' }, 'upstream_unavailable'],
]

describe('a rename in doubt', () => {
  it.each(doubts)(
    'A rename in doubt (%s) is an error, shows the old name, and is carried on by its job',
    async (_name, fault, code) => {
      const key = await namedKey(newBroker())
      await emulator.fault({ operation: 'update', fault })
      expectFailure(await key.rename('second'), code)
      expect((await key.names()).here).toBe('first')
      expect(await jobRows('acme')).toMatchObject([{ kind: 'rename-turn-key', key: key.uid }])

      passTime(MINUTE_MS)
      await runJobs('acme')
      expect(await key.names()).toEqual({ here: 'second', upstream: 'second' })
      expect(await jobRows('acme')).toEqual([])
      expect(await countAsked('update')).toBe(2)
    },
  )

  it('A rename in doubt is tried again and again until upstream answers', async () => {
    const key = await namedKey(newBroker())
    await emulator.fault({ operation: 'update', fault: { kind: 'status', status: 500 }, times: 4 })
    expectFailure(await key.rename('second'), 'upstream_failed')
    for (let round = 0; round < 4; round++) {
      expect(await jobRows('acme')).toHaveLength(1)
      passTime(2 * MINUTE_MS)
      await runJobs('acme')
    }
    expect(await key.names()).toEqual({ here: 'second', upstream: 'second' })
  })

  it('A rename in doubt can be taken back', async () => {
    const key = await namedKey(newBroker())
    await emulator.fault({ operation: 'update', fault: { kind: 'status', status: 500, when: 'after' } })
    expectFailure(await key.rename('second'), 'upstream_failed')
    expect((await key.rename('first')).json.result).toMatchObject({ name: 'first' })
    expect(await key.names()).toEqual({ here: 'first', upstream: 'first' })
    expect(await jobRows('acme')).toEqual([])
  })
})

describe('a rename that upstream', () => {
  it.each([400, 401, 403, 422])(
    'A rename that upstream refuses with %i reverts, and is not tried again',
    async (status) => {
      const key = await namedKey(newBroker())
      await emulator.fault({ operation: 'update', fault: { kind: 'status', status } })
      expectFailure(await key.rename('second'), 'upstream_failed')
      expect(await key.names()).toEqual({ here: 'first', upstream: 'first' })
      expect(await keyRows('acme')).toMatchObject([{ name: 'first', pending_name: null }])
      expect(await jobRows('acme')).toEqual([])
    },
  )

  it('A rename that upstream has no key for is a 404, and the key is shown as missing', async () => {
    const broker = newBroker()
    const key = await namedKey(broker)
    await emulator.removeKey(key.uid)
    expectFailure(await key.rename('second'), 'no_such_key')
    expect(await keyRows('acme')).toMatchObject([{ state: 'missing', name: 'first', pending_name: null }])
    // One look whether upstream has a key of its marker under another uid.
    await until('nothing is left to do', async () => (await jobRows('acme')).length === 0)
  })
})

describe('operations on one key', () => {
  it('Operations on one key run one after the other: of two renames the later one stands, and both get the true answer', async () => {
    const key = await namedKey(newBroker())
    await emulator.hold('update', 'open')
    const second = key.rename('second')
    await emulator.untilHeld('open')
    const third = key.rename('third')
    await until('the later rename is stored', async () => (await keyRows('acme'))[0]?.pending_name === 'third')
    expect(await countAsked('update')).toBe(1)
    await emulator.release('open')
    expect((await second).json.result).toMatchObject({ name: 'second' })
    expect((await third).json.result).toMatchObject({ name: 'third' })
    expect(await countAsked('update')).toBe(2)
    expect(await key.names()).toEqual({ here: 'third', upstream: 'third' })
    expect(await jobRows('acme')).toEqual([])
  })

  it('Operations on one key on another key take their turn, one call upstream at a time', async () => {
    const broker = newBroker()
    const acme = await newTenant(broker, 'acme')
    const one = await newTurnKey(broker, acme, 'one')
    const two = await newTurnKey(broker, acme, 'two')
    await emulator.hold('update', 'open', { uid: one })
    const held = broker.call('PUT', keysPath('acme', one), acme.token, { name: 'x' })
    await emulator.untilHeld('open')
    const waiting = broker.call('PUT', keysPath('acme', two), acme.token, { name: 'y' })
    await until('the rename is stored', async () => (await keyRows('acme'))[1]?.pending_name === 'y')
    expect(await countAsked('update')).toBe(1)
    await emulator.release('open')
    expectStatus(await held, 200)
    expectStatus(await waiting, 200)
  })

  it('Operations on one key a deletion waits for the rename before it, and the rename then finds no key', async () => {
    const broker = newBroker()
    const acme = await newTenant(broker, 'acme')
    const uid = await newTurnKey(broker, acme)
    await emulator.hold('update', 'open')
    const renamed = broker.call('PUT', keysPath('acme', uid), acme.token, { name: 'second' })
    await emulator.untilHeld('open')
    const deleted = broker.call('DELETE', keysPath('acme', uid), acme.token)
    await until('the deletion is ordered', async () => (await keyRows('acme'))[0]?.state === 'deleting')
    expect(await countAsked('delete')).toBe(0)
    await emulator.release('open')
    expectStatus(await deleted, 200)
    expectFailure(await renamed, 'no_such_key')
    expect((await emulator.log()).map(({ operation }) => operation)).toEqual(['create', 'update', 'delete'])
    expect(await liveKeys()).toEqual([])
    expect(await keyRows('acme')).toMatchObject([{ state: 'deleted', sealed: null }])
  })
})
