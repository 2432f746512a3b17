/** Deleting a TURN key: it is gone for the tenant at once and for upstream in the end, and then its secret is erased. */
import { abortAllDurableObjects } from 'cloudflare:test'
import { describe, expect, it } from 'vitest'
import type { FaultOrderInput } from '../../emulator/client.ts'
import { type Broker, expectStatus, keysPath, newBroker, newTenant, newTurnKey } from '../support/broker/broker.ts'
import { MINUTE_MS, passTime } from '../support/broker/clock.ts'
import { expectFailure } from '../support/broker/errors.ts'
import { countAsked, emulator, liveKeys } from '../support/broker/upstream.ts'
import { runJobs } from '../support/storage/storage.ts'
import { breakAudit, jobRows, keyRows } from '../support/storage/tenantRows.ts'

async function newKey(broker: Broker) {
  const acme = await newTenant(broker, 'acme')
  const uid = await newTurnKey(broker, acme)
  const at = (method: string) => broker.call(method, keysPath('acme', uid), acme.token)
  const list = async () => (await broker.call('GET', keysPath('acme'), acme.token)).json.result
  return { uid, remove: () => at('DELETE'), get: () => at('GET'), list }
}

type Fault = FaultOrderInput['fault']
const faults: [string, Fault, 'upstream_failed' | 'upstream_unavailable'][] = [
  ['500 before', { kind: 'status', status: 500 }, 'upstream_failed'],
  ['500 after it took effect', { kind: 'status', status: 500, when: 'after' }, 'upstream_failed'],
  ['403', { kind: 'status', status: 403 }, 'upstream_failed'],
  ['a page of HTML with 404', { kind: 'status', status: 404, body: 'html' }, 'upstream_failed'],
  ['an empty 404', { kind: 'status', status: 404, body: 'empty' }, 'upstream_failed'],
  ['404 for the route', { kind: 'status', status: 404, code: 7003 }, 'upstream_failed'],
  ['408', { kind: 'status', status: 408, when: 'after' }, 'upstream_failed'],
  ['a request to wait', { kind: 'rate-limit', dressing: 'retry-after-hour' }, 'upstream_unavailable'],
  ['a reset before the body', { kind: 'reset', at: 'before-body' }, 'upstream_failed'],
  ['a reset after it took effect', { kind: 'reset', at: 'after-body' }, 'upstream_failed'],
  ['half an answer', { kind: 'truncate', by: 'json' }, 'upstream_failed'],
  ['success false', { kind: 'shape', shape: 'success-false' }, 'upstream_failed'],
  ['HTML with 200', { kind: 'shape', shape: 'html' }, 'upstream_failed'],
  ['nothing with 200', { kind: 'shape', shape: 'empty' }, 'upstream_failed'],
  ['a redirect', { kind: 'redirect', location: '/elsewhere' }, 'upstream_failed'],
  ['200 about another key', { kind: 'shape', shape: 'foreign-uid' }, 'upstream_failed'],
  [
    '200 about another key, and nothing happened',
    { kind: 'shape', shape: 'foreign-uid', when: 'before' },
    'upstream_failed',
  ],
  ['200 about no key at all', { kind: 'status', status: 200, when: 'before' }, 'upstream_failed'],
]

describe('a deletion that upstream answers with', () => {
  it.each(faults)(
    'A deletion that upstream answers with %s: an error, the key invisible at once, the rest done by its job',
    async (_name, fault, code) => {
      const key = await newKey(newBroker())
      await emulator.fault({ operation: 'delete', fault })
      const answer = await key.remove()
      // A timeout of upstream's own is one of ours to the caller.
      expectFailure(answer, fault.kind === 'status' && fault.status === 408 ? 'upstream_timeout' : code)
      expect(answer.json.errors[0].message).toContain('mints nothing any more')
      expectFailure(await key.get(), 'no_such_key')
      expect(await key.list()).toEqual([])
      expect(await keyRows('acme')).toMatchObject([{ state: 'deleting', sealed: expect.any(String) }])

      // Upstream may have asked everybody to wait for five of them.
      passTime(6 * MINUTE_MS)
      await runJobs('acme')
      expect(await liveKeys()).toEqual([])
      expect(await keyRows('acme')).toMatchObject([{ state: 'deleted', sealed: null }])
      expect(await jobRows('acme')).toEqual([])
    },
  )
})

describe('a deletion', () => {
  it('A deletion is answered with what the key was, and the key has then never been', async () => {
    const key = await newKey(newBroker())
    const [before] = await key.list()
    const { state: _, ...metadata } = before
    const answer = await key.remove()
    expect(answer.json.result, answer.text).toEqual(metadata)
    expect(await keyRows('acme')).toMatchObject([{ state: 'deleted', sealed: null }])
    expect(await jobRows('acme')).toEqual([])
    expectFailure(await key.remove(), 'no_such_key')
    expectFailure(await key.get(), 'no_such_key')
    expect(await countAsked('delete')).toBe(1)
  })

  it('A deletion that failed is driven on by a second DELETE', async () => {
    const key = await newKey(newBroker())
    await emulator.fault({ operation: 'delete', fault: { kind: 'status', status: 500 }, times: 2 })
    expectFailure(await key.remove(), 'upstream_failed')
    expectFailure(await key.remove(), 'upstream_failed')
    expectStatus(await key.remove(), 200)
    expect(await liveKeys()).toEqual([])
    expect(await keyRows('acme')).toMatchObject([{ state: 'deleted', sealed: null }])
    expectFailure(await key.remove(), 'no_such_key')
  })

  it('A deletion of a key that upstream has lost is done', async () => {
    const key = await newKey(newBroker())
    await emulator.removeKey(key.uid)
    expectStatus(await key.remove(), 200)
    expect(await keyRows('acme')).toMatchObject([{ state: 'deleted', sealed: null }])
  })

  it('A deletion is tried with growing pauses for as long as upstream fails', async () => {
    const key = await newKey(newBroker())
    await emulator.fault({ operation: 'delete', fault: { kind: 'status', status: 500 }, times: 'always' })
    expectFailure(await key.remove(), 'upstream_failed')
    const pauses: number[] = []
    for (let round = 0; round < 5; round++) {
      passTime(10 * MINUTE_MS)
      await runJobs('acme')
      pauses.push(Number((await jobRows('acme'))[0]?.due) - Date.now())
    }
    expect(pauses).toEqual([2_000, 4_000, 8_000, 16_000, 32_000])
    await emulator.clearFaults()
    passTime(10 * MINUTE_MS)
    await runJobs('acme')
    expect(await liveKeys()).toEqual([])
  })

  it('A deletion asked for twice at once happens once, and both callers learn so', async () => {
    const key = await newKey(newBroker())
    await emulator.hold('delete', 'open')
    const both = [key.remove(), key.remove()]
    await emulator.untilHeld('open')
    await emulator.release('open')
    for (const answer of await Promise.all(both)) expectStatus(answer, 200)
    expect(await countAsked('delete')).toBe(1)
  })

  it('A deletion goes on after the object died in the middle of it', async () => {
    const key = await newKey(newBroker())
    await emulator.hold('delete', 'open')
    const removed = key.remove()
    await emulator.untilHeld('open')
    await abortAllDurableObjects()
    expectFailure(await removed, 'storage_failed')
    await emulator.release('open')
    expectFailure(await key.get(), 'no_such_key')
    passTime(MINUTE_MS)
    await runJobs('acme')
    expect(await liveKeys()).toEqual([])
    expect(await keyRows('acme')).toMatchObject([{ state: 'deleted', sealed: null }])
  })

  it('A deletion that cannot be stored does not happen', async () => {
    const key = await newKey(newBroker())
    await breakAudit('acme')
    expectFailure(await key.remove(), 'storage_failed')
    expect(await countAsked('delete')).toBe(0)
    expectStatus(await key.get(), 200)
  })

  it('A deletion works for a suspended tenant', async () => {
    const broker = newBroker()
    const key = await newKey(broker)
    expectStatus(await broker.admin('PATCH', '/tenants/acme', { status: 'suspended' }), 200)
    expectStatus(await key.remove(), 200)
  })
})

describe('deleting the default key', () => {
  it('Deleting the default key promotes the newest active one, then the next, then none', async () => {
    const broker = newBroker()
    const acme = await newTenant(broker, 'acme')
    const [first, second, third] = [
      await newTurnKey(broker, acme, 'first'),
      await newTurnKey(broker, acme, 'second'),
      await newTurnKey(broker, acme, 'third'),
    ]
    const remove = async (uid: string) =>
      expectStatus(await broker.call('DELETE', keysPath('acme', uid), acme.token), 200)
    const defaultKey = async () => (await broker.admin('GET', '/tenants/acme')).json.policy.defaultKeyId
    expectStatus(await broker.admin('PATCH', '/tenants/acme', { policy: { defaultKeyId: first } }), 200)
    await remove(first)
    expect(await defaultKey()).toBe(third)
    await remove(third)
    expect(await defaultKey()).toBe(second)
    await remove(second)
    expect(await defaultKey()).toBeNull()
  })

  it('Deleting the default key promotes no missing key, and deleting another key promotes none', async () => {
    const broker = newBroker()
    const acme = await newTenant(broker, 'acme')
    const uids = []
    for (const name of ['a', 'b', 'c', 'd']) uids.push(await newTurnKey(broker, acme, name))
    const [first = '', second = '', third = '', fourth = ''] = uids
    expectStatus(await broker.admin('PATCH', '/tenants/acme', { policy: { defaultKeyId: first } }), 200)
    await emulator.removeKey(fourth)
    expectFailure(await broker.call('PUT', keysPath('acme', fourth), acme.token, { name: 'x' }), 'no_such_key')
    const defaultKey = async () => (await broker.admin('GET', '/tenants/acme')).json.policy.defaultKeyId
    expectStatus(await broker.call('DELETE', keysPath('acme', second), acme.token), 200)
    expect(await defaultKey()).toBe(first)
    expectStatus(await broker.call('DELETE', keysPath('acme', first), acme.token), 200)
    expect(await defaultKey()).toBe(third)
  })
})
