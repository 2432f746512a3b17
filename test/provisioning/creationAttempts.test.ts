/** Creations that the official SDK repeats by itself: which attempt is taken for a repeat of which. */

import { abortAllDurableObjects } from 'cloudflare:test'
import { describe, expect, it } from 'vitest'
import type { Scope } from '../../src/contract/scopes.ts'
import { type AttemptFacts, matchAttempt } from '../../src/tenant/provisioning/sdkRetries.ts'
import type { Answer } from '../support/broker/answer.ts'
import { type Broker, expectStatus, keysPath, newBroker, newTenant, newToken } from '../support/broker/broker.ts'
import { MINUTE_MS, passTime, SECOND_MS, setClock, until } from '../support/broker/clock.ts'
import { expectFailure, expectNoRepeat } from '../support/broker/errors.ts'
import { countAsked, emulator, liveKeys } from '../support/broker/upstream.ts'
import { runJobs } from '../support/storage/storage.ts'
import { keyRows, tenantSql } from '../support/storage/tenantRows.ts'
import { killObjects } from '../support/tenants/issuing.ts'

const SCOPES: Scope[] = ['turn_keys:read', 'turn_keys:write', 'turn_keys:reveal']

async function creator(broker: Broker, policy: object = {}) {
  const { token } = await newTenant(broker, 'acme', { scopes: SCOPES, policy })
  const attempt = (count: number | string, body: unknown = { name: 'first' }, by = token): Promise<Answer> =>
    broker.call('POST', keysPath('acme'), by, body, { 'x-stainless-retry-count': String(count) })
  return attempt
}

/** An attempt whose answer was lost: its caller had hung up, and no Worker said otherwise. */
const forgetAnswer = () => tenantSql('acme', 'UPDATE attempts SET answered_at = NULL')

const attempt = (more: Partial<AttemptFacts> = {}): AttemptFacts => ({
  begunAt: 0,
  answeredAt: null,
  failed: false,
  matched: false,
  ...more,
})

describe('an attempt is repeated', () => {
  const cases: [string, AttemptFacts, number, boolean][] = [
    ['while it runs', attempt(), 1, true],
    ['up to three minutes after it began, if nobody had the answer', attempt(), 179_999, true],
    ['but not later', attempt(), 180_000, false],
    ['not when it was answered with a yes', attempt({ answeredAt: 10 }), 11, false],
    ['within a minute after an error', attempt({ answeredAt: 10, failed: true }), 60_009, true],
    ['but not later than that', attempt({ answeredAt: 10, failed: true }), 60_010, false],
    ['only once', attempt({ matched: true }), 1, false],
  ]
  it.each(cases)('An attempt is repeated %s', (_name, facts, now, matches) => {
    expect(matchAttempt([facts], now)).toBe(matches ? facts : undefined)
  })

  it('An attempt is repeated the oldest first', () => {
    const [first, second] = [attempt({ begunAt: 1 }), attempt({ begunAt: 2 })]
    expect(matchAttempt([attempt({ matched: true }), first, second], 3)).toBe(first)
  })
})

describe('a repeat of the SDK’s', () => {
  it('A repeat of the SDK’s while the first attempt runs waits for it, and both are given the one key', async () => {
    const create = await creator(newBroker(), { maxTurnKeys: 1 })
    await emulator.hold('create', 'open')
    const all = [create(0)]
    await emulator.untilHeld('open')
    for (const count of [1, 2]) {
      all.push(create(count))
      await until('it has come', async () => (await tenantSql('acme', 'SELECT 1 FROM attempts')).length === count + 1)
    }
    await emulator.release('open')
    const answers = await Promise.all(all)
    for (const answer of answers) expect(answer, answer.text).toMatchObject({ status: 201, json: answers[0]?.json })
    expect(answers[0]?.json.result.key).toMatch(/^.{64}$/)
    expect(await countAsked('create')).toBe(1)
  })

  it('A repeat of the SDK’s is given the key whose answer was lost', async () => {
    const create = await creator(newBroker())
    const first = await create(0)
    await forgetAnswer()
    expect((await create(1)).json).toEqual(first.json)
    await forgetAnswer()
    expect((await create(2)).json).toEqual(first.json)
    expect(await countAsked('create')).toBe(1)
  })

  it('A repeat of the SDK’s gets the final failure of the first attempt, and makes nothing', async () => {
    const create = await creator(newBroker())
    await emulator.fault({ operation: 'create', fault: { kind: 'status', status: 403 } })
    for (const count of [0, 1, 2]) {
      const answer = await create(count)
      expectFailure(answer, 'upstream_failed')
      expectNoRepeat(answer)
    }
    expect(await countAsked('create')).toBe(1)
  })

  it('A repeat of the SDK’s gets the unknown outcome, and later how it was settled', async () => {
    const create = await creator(newBroker())
    await emulator.fault({ operation: 'create', fault: { kind: 'reset', at: 'mid-response' } })
    expectFailure(await create(0), 'outcome_unknown')
    expectFailure(await create(1), 'outcome_unknown')
    const { begun_at } = (await keyRows('acme'))[0] ?? {}
    setClock(Number(begun_at) + MINUTE_MS)
    await runJobs('acme')
    expect(await liveKeys()).toEqual([])
    expect(await countAsked('create')).toBe(1)
  })

  it('A repeat of the SDK’s runs again where the first attempt got a Retry-After', async () => {
    const create = await creator(newBroker())
    await emulator.fault({ operation: 'create', fault: { kind: 'rate-limit' } })
    expectFailure(await create(0), 'upstream_unavailable')
    passTime(5 * SECOND_MS)
    expectStatus(await create(1), 201)
    expect(await liveKeys()).toHaveLength(1)
  })

  it('A repeat of the SDK’s after the object died says that the outcome is unknown, and makes nothing', async () => {
    const create = await creator(newBroker())
    await emulator.hold('create', 'open', { when: 'after' })
    const first = create(0)
    await emulator.untilHeld('open')
    await abortAllDurableObjects()
    expectFailure(await first, 'outcome_unknown')
    const second = await create(1)
    expectFailure(second, 'outcome_unknown')
    expectNoRepeat(second)
    await emulator.release('open')
    expect(await keyRows('acme')).toMatchObject([{ state: 'unknown' }])
    expect(await countAsked('create')).toBe(1)
  })
})

describe('no repeat, but a wish of its own, is', () => {
  const others: [string, (create: Awaited<ReturnType<typeof creator>>, broker: Broker) => Promise<Answer>][] = [
    ['an attempt 0', (create) => create(0)],
    ['an attempt 2 without an attempt 1', (create) => create(2)],
    ['another body', (create) => create(1, { name: 'second' })],
    ['another token', async (create, broker) => create(1, undefined, (await newToken(broker, 'acme', SCOPES)).token)],
    ['a count that is none', (create) => create('01')],
    ['a count with a sign', (create) => create('+1')],
  ]
  it.each(others)('No repeat, but a wish of its own, is %s', async (_name, other) => {
    const broker = newBroker()
    const create = await creator(broker)
    const first = await create(0)
    await forgetAnswer()
    const second = await other(create, broker)
    expectStatus(second, 201)
    expect(second.json.result.uid).not.toBe(first.json.result.uid)
    expect(await countAsked('create')).toBe(2)
  })

  it('No repeat, but a wish of its own, is an attempt 1 of a wish that was answered', async () => {
    const create = await creator(newBroker())
    await create(0)
    expect(await tenantSql('acme', 'SELECT answered_at IS NULL AS open FROM attempts')).toEqual([{ open: 0 }])
    expectStatus(await create(1), 201)
    expect(await liveKeys()).toHaveLength(2)
  })

  it('No repeat, but a wish of its own, is the second of two equal repeats', async () => {
    const create = await creator(newBroker())
    const first = await create(0)
    await forgetAnswer()
    const repeats = await Promise.all([create(1), create(1)])
    const uids = repeats.map(({ json }) => json.result.uid)
    expect(uids).toContain(first.json.result.uid)
    expect(new Set(uids).size).toBe(2)
    expect(await liveKeys()).toHaveLength(2)
  })

  it('No repeat, but a wish of its own, is one with an Idempotency-Key: that alone counts', async () => {
    const broker = newBroker()
    const { token } = await newTenant(broker, 'acme')
    const create = (key: string, count: number) =>
      broker.call(
        'POST',
        keysPath('acme'),
        token,
        {},
        { 'idempotency-key': key, 'x-stainless-retry-count': `${count}` },
      )
    await create('a', 0)
    await create('b', 1)
    expect(await liveKeys()).toHaveLength(2)
    expect(await tenantSql('acme', 'SELECT * FROM attempts')).toEqual([])
  })
})

it('Attempts are forgotten after three minutes, and a refusal leaves none', async () => {
  const create = await creator(newBroker(), { maxTurnKeys: 1 })
  expectStatus(await create(0), 201)
  for (let n = 0; n < 3; n++) expectFailure(await create(0, { name: `more ${n}` }), 'turn_key_limit')
  expect(await tenantSql('acme', 'SELECT 1 FROM attempts')).toHaveLength(1)
  passTime(3 * MINUTE_MS)
  await tenantSql('acme', "UPDATE tenant SET policy = '{}'")
  await killObjects()
  expectStatus(await create(0, { name: 'later' }), 201)
  expect(await tenantSql('acme', 'SELECT 1 FROM attempts')).toHaveLength(1)
})
