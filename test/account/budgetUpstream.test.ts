/** G9: the limits that Cloudflare reports: a 429 stops every caller for as long as it says; the remainder counts. */

import { describe, expect, it } from 'vitest'
import type { FaultOrderInput } from '../../emulator/client.ts'
import { rateLeftOf, retryAfterOf } from '../../src/cloudflare/rateHeaders.ts'
import { type Broker, expectStatus, keysPath, newBroker, newTenant, newTurnKey } from '../support/broker/broker.ts'
import { HOUR_MS, MINUTE_MS, passTime, SECOND_MS, setClock } from '../support/broker/clock.ts'
import { outcomeOf, shown } from '../support/broker/contract.ts'
import { generate, served } from '../support/broker/doors.ts'
import { countAsked, emulator } from '../support/broker/upstream.ts'
import { runJobs } from '../support/storage/storage.ts'
import { accountSql, accountStub, keyRows } from '../support/storage/tenantRows.ts'
import { accountView } from '../support/tenants/sweeps.ts'

type Fault = Extract<FaultOrderInput['fault'], { kind: 'rate-limit' }>
const create = (broker: Broker, { id, token }: { id: string; token: string }) =>
  broker.call('POST', keysPath(id), token, {})
const UNAVAILABLE = '503 31026'

/** Two tenants, of which the first gets a 429. The clock stands still from that moment. */
async function blocked(fault: Fault) {
  const broker = newBroker()
  const acme = await newTenant(broker, 'acme')
  const other = await newTenant(broker, 'other')
  setClock(Date.now() + MINUTE_MS)
  const since = Date.now()
  await emulator.fault({ operation: 'create', fault })
  expect(outcomeOf(await create(broker, acme))).toBe(UNAVAILABLE)
  await emulator.clearLog()
  return { broker, acme, other, since }
}

describe('G9: a 429', () => {
  const dressings: [string, Fault, seconds: number][] = [
    ['a Retry-After in seconds', { kind: 'rate-limit', dressing: 'retry-after-seconds', seconds: 20 }, 20],
    ['a Retry-After date that has passed', { kind: 'rate-limit', dressing: 'retry-after-date', seconds: 2 }, 1],
    ['a Retry-After of an hour', { kind: 'rate-limit', dressing: 'retry-after-hour' }, 300],
    ['only a Ratelimit header', { kind: 'rate-limit', dressing: 'ratelimit-header', seconds: 45 }, 45],
    ['no header', { kind: 'rate-limit', dressing: 'none' }, 60],
  ]
  it.each(dressings)(
    'G9: A 429 with %s stops every caller and purpose, for as long as it says and 5 minutes at most',
    async (_, fault, seconds) => {
      const { broker, acme, other, since } = await blocked(fault)
      for (const at of [since, since + seconds * SECOND_MS - 1]) {
        setClock(at)
        for (const tenant of [acme, other]) {
          const answer = await create(broker, tenant)
          expect(outcomeOf(answer), shown(answer)).toBe(UNAVAILABLE)
          const wait = Math.ceil((since + seconds * SECOND_MS - at) / SECOND_MS)
          expect(answer.headers.get('retry-after')).toBe(String(Math.min(60, wait)))
          expect(answer.headers.get('x-should-retry')).toBeNull()
        }
        for (const purpose of ['operator', 'recovery'] as const) {
          const refused = await accountStub().spend({ tenant: 'other', limit: 600, purpose })
          expect(refused).toMatchObject({ ok: false, failure: { code: 'upstream_unavailable' } })
        }
        const { budget } = await accountView(broker)
        expect(budget.blockedUntil).toBe(new Date(since + seconds * SECOND_MS).toISOString())
      }
      expect(await emulator.log()).toEqual([])
      setClock(since + seconds * SECOND_MS)
      expectStatus(await create(broker, other), 201)
      expectStatus(await create(broker, acme), 201)
      expect((await accountView(broker)).budget.blockedUntil).toBeNull()
    },
  )

  it('G9: After a 429 has ended one probe is sent, and the other callers wait for its outcome', async () => {
    const { broker, acme, other, since } = await blocked({ kind: 'rate-limit', seconds: 10 })
    setClock(since + 10 * SECOND_MS)
    await emulator.hold('create', 'probe')
    const probe = create(broker, acme)
    await emulator.untilHeld('probe')
    expect(outcomeOf(await create(broker, other))).toBe(UNAVAILABLE)
    expect(await countAsked('create')).toBe(1)
    await emulator.release('probe')
    expectStatus(await probe, 201)
    expectStatus(await create(broker, other), 201)
  })

  it('G9: A 429 to the probe starts the wait again', async () => {
    const { broker, acme, other, since } = await blocked({ kind: 'rate-limit', seconds: 10 })
    setClock(since + 10 * SECOND_MS)
    await emulator.fault({ operation: 'create', fault: { kind: 'rate-limit', seconds: 10 } })
    expect(outcomeOf(await create(broker, acme))).toBe(UNAVAILABLE)
    setClock(since + 20 * SECOND_MS - 1)
    expect(outcomeOf(await create(broker, other))).toBe(UNAVAILABLE)
    expect(await countAsked('create')).toBe(1)
    setClock(since + 20 * SECOND_MS)
    expectStatus(await create(broker, other), 201)
  })

  it('G9: A probe that is never answered does not block the others for good', async () => {
    const { broker, acme, other, since } = await blocked({ kind: 'rate-limit', seconds: 10 })
    setClock(since + 10 * SECOND_MS)
    await emulator.fault({ operation: 'create', fault: { kind: 'reset', at: 'before-body' } })
    expect(outcomeOf(await create(broker, acme))).toBe('504 31028')
    setClock(since + 22 * SECOND_MS - 1)
    expect(outcomeOf(await create(broker, other))).toBe(UNAVAILABLE)
    setClock(since + 22 * SECOND_MS)
    expectStatus(await create(broker, other), 201)
  })

  it('G9: A 429 to the list of a sweep, a rename, a removal or a look-up stops every caller too', async () => {
    const broker = newBroker()
    const acme = await newTenant(broker, 'acme')
    const uid = await newTurnKey(broker, acme)
    const fault = { kind: 'rate-limit', seconds: 30 } as const
    const calls = {
      update: () => broker.call('PUT', keysPath('acme', uid), acme.token, { name: crypto.randomUUID() }),
      get: () => broker.call('GET', keysPath('acme', uid), acme.token),
      list: () => accountStub().markedTurnKeys('tb.test.x', Date.now()),
      delete: () => broker.call('DELETE', keysPath('acme', uid), acme.token),
    } as const
    for (const [operation, call] of Object.entries(calls)) {
      passTime(2 * HOUR_MS)
      await emulator.fault({ operation: operation as keyof typeof calls, fault }) // the keys of calls
      await call()
      const refused = await accountStub().spend({ tenant: 'x', limit: 600, purpose: 'recovery' })
      expect(refused, operation).toMatchObject({ ok: false, failure: { code: 'upstream_unavailable' } })
    }
    passTime(MINUTE_MS)
    await runJobs('acme')
    expect(await keyRows('acme')).toMatchObject([{ state: 'deleted' }])
  })

  it('G9: A 429 of the API for TURN keys stops no mint', async () => {
    const broker = newBroker()
    const acme = await served(broker)
    setClock(Date.now() + MINUTE_MS)
    await emulator.fault({ operation: 'create', fault: { kind: 'rate-limit', dressing: 'retry-after-hour' } })
    expect(outcomeOf(await create(broker, acme))).toBe(UNAVAILABLE)
    await generate(broker, acme)
  })
})

describe('G9: the remainder in the Ratelimit header', () => {
  it('G9: The Ratelimit remainder stops tenants at the last 240 calls, recovery at the last 120, and operators at the last one', async () => {
    const broker = newBroker()
    const acme = await newTenant(broker, 'acme', { policy: { maxTurnKeys: 100 } })
    // The account is also used elsewhere: of its 1,200 calls there are 250 left.
    await emulator.settings({ rateLimit: { requests: 250, windowSeconds: 200 } })
    passTime(MINUTE_MS)
    const outcomes: string[] = []
    for (let n = 0; n < 14; n++) outcomes.push(outcomeOf(await create(broker, acme)))
    expect(outcomes).toEqual([...Array(10).fill('201'), ...Array(4).fill('429 31018')])
    expect((await accountView(broker)).budget).toMatchObject({
      upstreamRemaining: 240,
      tenants: { spent: 10 },
    })
    const granted = async (purpose: 'recovery' | 'operator') => {
      for (let n = 0; ; n++) if (!(await accountStub().spend({ tenant: `t${n}`, limit: 60, purpose })).ok) return n
    }
    expect(await granted('recovery')).toBe(120)
    expect(await granted('operator')).toBe(120)
    passTime(201 * SECOND_MS)
    expect(await accountStub().spend({ tenant: 'other', limit: 60, purpose: 'tenant' })).toMatchObject({ ok: true })
  })

  it('G9: The Ratelimit remainder never adds to the budget, however large it is', async () => {
    setClock(Date.now() + HOUR_MS)
    await accountSql(`INSERT INTO api_calls VALUES ('recovery', ${Math.floor(Date.now() / 10_000)}, 'beta', 120)`)
    for (const remaining of [1_200, 999_999_999]) {
      await accountStub().observe({
        refused: false,
        retryAfterSeconds: undefined,
        rate: { remaining, resetSeconds: 1 },
      })
      const refused = await accountStub().spend({ tenant: 'acme', limit: 600, purpose: 'recovery' })
      expect(refused).toMatchObject({ ok: false, failure: { code: 'rate_limited' } })
    }
  })

  it('G9: The Ratelimit header is read with any policy name, within bounds, and a malformed one is ignored', () => {
    const read: [string | null, ReturnType<typeof rateLeftOf>][] = [
      ['"default";r=50;t=30', { remaining: 50, resetSeconds: 30 }],
      ['"default"; r=50; t=30', { remaining: 50, resetSeconds: 30 }],
      ['default;t=30;r=50', { remaining: 50, resetSeconds: 30 }],
      ['"a";r=5;t=9, "b";r=3;t=7', { remaining: 3, resetSeconds: 7 }],
      ['"default";r=0;t=0', { remaining: 0, resetSeconds: 1 }],
      ['"default";r=1;t=999999', { remaining: 1, resetSeconds: 300 }],
      ['"default";r=1', { remaining: 1, resetSeconds: 300 }],
      ...['', '"default"', 'r=1;t=2', '"x";r=-1;t=3', '"x";r=1.5;t=3', '"x";r=1e9', '"x";r=9999999999;t=3'].map(
        (header): [string, undefined] => [header, undefined],
      ),
      [`"${'x'.repeat(600)}";r=1;t=1`, undefined],
      [null, undefined],
    ]
    for (const [header, expected] of read) expect(rateLeftOf(header), String(header)).toEqual(expected)
  })

  it('G9: The Retry-After header is read as seconds or as a date', () => {
    const now = Date.parse('2026-11-22T00:00:00Z')
    const read: [string | null, number | undefined][] = [
      ['7', 7],
      ['Sun, 22 Nov 2026 00:00:09 GMT', 9],
      ['Sun, 22 Nov 2020 00:00:00 GMT', 0],
      ['999999999', 86_400],
      ['-1', undefined],
      ['soon', undefined],
      ['', undefined],
      [null, undefined],
    ]
    for (const [header, expected] of read) {
      // The engine reads "-1" as a date long ago; either way no caller waits longer.
      if (header === '-1') expect(retryAfterOf(header, now) ?? 0).toBe(0)
      else expect(retryAfterOf(header, now), String(header)).toBe(expected)
    }
  })
})

describe('G9: the wait in a refusal', () => {
  it('G9: The wait in a refusal is that of the share which is spent, not of an older call by another tenant', async () => {
    const start = Math.ceil(Date.now() / 10_000) * 10_000 + HOUR_MS
    const spend = () => accountStub().spend({ tenant: 'acme', limit: 2, purpose: 'tenant' })
    setClock(start)
    await accountStub().spend({ tenant: 'beta', limit: 2, purpose: 'tenant' })
    setClock(start + 30 * SECOND_MS)
    for (let n = 0; n < 2; n++) expect(await spend()).toMatchObject({ ok: true })
    setClock(start + 290 * SECOND_MS)
    const refused = await spend()
    if (refused.ok) throw new Error('the share was spent')
    expect(refused.failure.retryAfterSeconds).toBe(50)
    passTime(50 * SECOND_MS)
    expect(await spend()).toMatchObject({ ok: true })
  })
})
