/** Look-ups and upstream: asked once an hour however many ask, and what its answer, silence or absence means. */

import { afterEach, describe, expect, it, vi } from 'vitest'
import type { FaultOrderInput } from '../../emulator/client.ts'
import { Account } from '../../src/account/account.ts'
import { countedObjects } from '../support/broker/bindings.ts'
import { type Broker, expectStatus, keysPath, newBroker, newTenant, newTurnKey } from '../support/broker/broker.ts'
import { HOUR_MS, MINUTE_MS, passTime, SECOND_MS, setClock, until } from '../support/broker/clock.ts'
import { countAsked, emulator } from '../support/broker/upstream.ts'
import { accountSql, keyRows } from '../support/storage/tenantRows.ts'

afterEach(() => {
  vi.restoreAllMocks()
})

async function newKey(broker: Broker) {
  const acme = await newTenant(broker, 'acme')
  const uid = await newTurnKey(broker, acme)
  const getBy = (edge: Broker) => edge.call('GET', keysPath('acme', uid), acme.token)
  const get = () => getBy(broker)
  const list = () => broker.call('GET', keysPath('acme'), acme.token)
  return { uid, get, getBy, list }
}

describe('a thousand look-ups of one key', () => {
  it('A thousand look-ups of one key over three hours ask upstream at most once an hour', async () => {
    const key = await newKey(newBroker())
    const begunAt = Date.now()
    const askedAt: number[] = [begunAt] // the creation confirmed the key
    for (let step = 1; step <= 40; step++) {
      setClock(begunAt + (step * 3 * HOUR_MS) / 40)
      expectStatus(await key.get(), 200)
      for (const answer of await Promise.all(Array.from({ length: 24 }, key.get))) expectStatus(answer, 200)
      if ((await countAsked('get')) >= askedAt.length) askedAt.push(Date.now())
    }
    expect(await countAsked('get')).toBe(askedAt.length - 1)
    const pauses = askedAt.slice(1).map((at, n) => at - (askedAt[n] ?? 0))
    expect(pauses.length).toBeGreaterThanOrEqual(2)
    expect(Math.min(...pauses)).toBeGreaterThanOrEqual(HOUR_MS)
  })
})

describe('look-ups at the same time', () => {
  it('Look-ups at the same time share one question upstream', async () => {
    const { reached, ...objects } = countedObjects()
    const key = await newKey(newBroker(objects))
    passTime(HOUR_MS + MINUTE_MS)
    await emulator.hold('get', 'open', { times: 'always' })
    reached.count = 0
    const answers = Array.from({ length: 50 }, key.get)
    await until('all fifty have come to the Tenant', async () => reached.count >= 50)
    await emulator.untilHeld('open')
    expect(await countAsked('get')).toBe(1)
    await emulator.release('open')
    for (const answer of await Promise.all(answers)) {
      expectStatus(answer, 200)
      expect(answer.headers.get('cache-status')).toBe('tenant; fwd=stale; stored, edge; fwd=miss')
    }
    expect(await countAsked('get')).toBe(1)
  })
})

describe('Cache-Status (RFC 9211) says where an answer comes from', () => {
  it('Cache-Status (RFC 9211) says where an answer comes from the edge, the Tenant’s copy, or a check upstream', async () => {
    const key = await newKey(newBroker())
    // Another isolate each time: one remembers for 5 s what it has read of the tenant in KV.
    const get = () => key.getBy(newBroker())
    expect((await get()).headers.get('cache-status')).toMatch(/^edge; hit; ttl=(60|59)$/)
    const [row] = await keyRows('acme')
    setClock(Number(row?.checked_at) + 30 * MINUTE_MS)
    expect((await get()).headers.get('cache-status')).toBe('tenant; hit; ttl=1800, edge; fwd=miss')
    await until('the edge has it again', async () => /^edge; hit/.test((await get()).headers.get('cache-status') ?? ''))
    expect((await get()).headers.get('cache-status')).toBe('edge; hit; ttl=60')
    setClock(Number(row?.checked_at) + HOUR_MS + 1)
    expect((await get()).headers.get('cache-status')).toBe('tenant; fwd=stale; stored, edge; fwd=miss')
  })

  it('Cache-Status (RFC 9211) says where an answer comes from and that a copy is stale, for how long, and why', async () => {
    const key = await newKey(newBroker())
    const [row] = await keyRows('acme')
    await emulator.fault({ operation: 'get', fault: { kind: 'status', status: 500 }, times: 'always' })
    setClock(Number(row?.checked_at) + HOUR_MS + 90 * SECOND_MS)
    expect((await key.get()).headers.get('cache-status')).toBe(
      'tenant; hit; ttl=-90; detail="upstream-unconfirmed", edge; fwd=miss',
    )
  })
})

type Fault = FaultOrderInput['fault']
const silences: [string, Fault][] = [
  ['500', { kind: 'status', status: 500 }],
  ['403', { kind: 'status', status: 403 }],
  ['a page of HTML with 404', { kind: 'status', status: 404, body: 'html' }],
  ['404 for the route', { kind: 'status', status: 404, code: 7003 }],
  ['429', { kind: 'rate-limit' }],
  ['a reset', { kind: 'reset', at: 'before-body' }],
  ['a reset in the answer', { kind: 'reset', at: 'mid-response' }],
  ['half an answer', { kind: 'truncate', by: 'content-length' }],
  ['another key', { kind: 'shape', shape: 'foreign-uid' }],
  ['no uid', { kind: 'shape', shape: 'missing-key' }],
  ['wrong types', { kind: 'shape', shape: 'wrong-types' }],
  ['success false', { kind: 'shape', shape: 'success-false' }],
  ['megabytes', { kind: 'shape', shape: 'huge-stream' }],
  ['a redirect', { kind: 'redirect', location: '/elsewhere' }],
]

const STALE = /^tenant; hit; ttl=-\d+; detail="upstream-unconfirmed", edge; fwd=miss$/

describe('an upstream that answers a check with', () => {
  it.each(silences)(
    'An upstream that answers a check with %s leaves the copy, marked as stale, and is asked again a minute later',
    async (_name, fault) => {
      const key = await newKey(newBroker())
      const before = (await key.get()).json
      await emulator.fault({ operation: 'get', fault })
      passTime(HOUR_MS + MINUTE_MS)
      for (let n = 0; n < 3; n++) {
        const answer = await key.get()
        expect(answer.json, answer.text).toEqual(before)
        expect(answer.headers.get('cache-status')).toMatch(STALE)
      }
      expect(await countAsked('get')).toBe(1)
      passTime(MINUTE_MS)
      expect((await key.get()).headers.get('cache-status')).toBe('tenant; fwd=stale; stored, edge; fwd=miss')
      expect(await countAsked('get')).toBe(2)
    },
  )
})

describe('a check that cannot be made', () => {
  it('A check that cannot be made because the budget is spent leaves the copy', async () => {
    const key = await newKey(newBroker())
    passTime(HOUR_MS + MINUTE_MS)
    await accountSql(`INSERT INTO api_calls VALUES ('tenant', ${Math.floor(Date.now() / 10_000)}, 'beta', 600)`)
    expect((await key.get()).headers.get('cache-status')).toMatch(STALE)
    expect(await countAsked('get')).toBe(0)
  })

  it('A check that cannot be made because the Account is out of reach leaves the copy', async () => {
    const key = await newKey(newBroker())
    passTime(HOUR_MS + MINUTE_MS)
    const lost = new Error('Network connection lost.')
    lost.stack = String(lost) // as the runtime's own has none
    const spend = vi.spyOn(Account.prototype, 'spend').mockRejectedValue(lost)
    for (let n = 0; n < 2; n++) {
      const answer = await key.get()
      expectStatus(answer, 200)
      expect(answer.headers.get('cache-status')).toMatch(STALE)
    }
    expect(spend).toHaveBeenCalledOnce()
  })
})

describe('a key that upstream has lost', () => {
  it('A key that upstream has lost is shown as missing after the next check, and as active when it is found again', async () => {
    const key = await newKey(newBroker())
    await emulator.removeKey(key.uid)
    expect((await key.get()).json.result).toMatchObject({ state: 'active' })
    passTime(HOUR_MS + MINUTE_MS)
    expect((await key.get()).json.result).toMatchObject({ uid: key.uid, state: 'missing' })
    expect((await key.list()).json.result).toMatchObject([{ uid: key.uid, state: 'missing' }])

    passTime(HOUR_MS + MINUTE_MS)
    await emulator.settings({ getAfterDeleteLagMs: 10 * HOUR_MS })
    expect((await key.get()).json.result).toMatchObject({ uid: key.uid, state: 'active' })
    expect((await key.list()).json.result).toMatchObject([{ uid: key.uid, state: 'active' }])
    expect(await countAsked('get')).toBe(2)
  })

  it('A key that upstream has lost keeps its secret, so that finding it again is enough', async () => {
    const key = await newKey(newBroker())
    await emulator.removeKey(key.uid)
    passTime(HOUR_MS + MINUTE_MS)
    await key.get()
    expect(await keyRows('acme')).toMatchObject([{ state: 'missing', sealed: expect.any(String) }])
  })
})

it('A key that is deleted while it is checked is not found, and does not come back', async () => {
  const broker = newBroker()
  const acme = await newTenant(broker, 'acme')
  const uid = await newTurnKey(broker, acme)
  passTime(HOUR_MS + MINUTE_MS)
  await emulator.hold('get', 'open', { when: 'after' })
  const found = broker.call('GET', keysPath('acme', uid), acme.token)
  await emulator.untilHeld('open')
  const deleted = broker.call('DELETE', keysPath('acme', uid), acme.token)
  await until('the deletion is ordered', async () => (await keyRows('acme'))[0]?.state === 'deleting')
  await emulator.release('open')
  expectStatus(await found, 404)
  expectStatus(await deleted, 200)
  expect(await keyRows('acme')).toMatchObject([{ state: 'deleted', sealed: null }])
})
