/** How a doubtful creation is settled: looked for after 1, 5, 15 and 60 minutes and 24 hours, found or given up. */
import { env } from 'cloudflare:workers'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { type Broker, expectStatus, keysPath, newBroker, newTenant, newTurnKey } from '../support/broker/broker.ts'
import { HOUR_MS, MINUTE_MS, SECOND_MS, setClock } from '../support/broker/clock.ts'
import { expectFailure } from '../support/broker/errors.ts'
import { countAsked, emulator, liveKeys } from '../support/broker/upstream.ts'
import { runJobs } from '../support/storage/storage.ts'
import { accountSql, jobRows, keyRows, tenantSql } from '../support/storage/tenantRows.ts'

afterEach(() => {
  vi.restoreAllMocks()
})

const LOOKS_MS = [MINUTE_MS, 5 * MINUTE_MS, 15 * MINUTE_MS, HOUR_MS, 24 * HOUR_MS]

/** A creation whose answer was lost, after it took effect or before; when it began. */
async function doubtfulCreation(broker: Broker, when: 'before' | 'after'): Promise<number> {
  const acme = await newTenant(broker, 'acme')
  await emulator.fault({ operation: 'create', fault: { kind: 'status', status: 502, when } })
  expectFailure(await broker.call('POST', keysPath('acme'), acme.token, { name: 'first' }), 'outcome_unknown')
  const [row] = await keyRows('acme')
  expect(row).toMatchObject({ state: 'unknown', looks: 0 })
  return Number(row?.begun_at)
}

const stateNow = async () => (await keyRows('acme'))[0]?.state

/** Both clocks, so that upstream's list lags by the clock of the broker. */
async function setBothClocks(ms: number, realMs: number): Promise<void> {
  setClock(ms)
  await emulator.settings({ clockOffsetMs: ms - realMs })
}

/** Upstream's list with something in each entry that its documentation does not have. */
function listOddly(): void {
  const real = globalThis.fetch
  vi.spyOn(globalThis, 'fetch').mockImplementation(async (input, init) => {
    const response = await real(input, init)
    if (init?.method !== 'GET' || !String(input).endsWith('/turn_keys')) return response
    const answer = (await response.json()) as { result: { uid: string; name: string }[] }
    const odd = answer.result.map(({ uid, name }, n) => (n === 0 ? { uid, name } : { uid, name, created: 'soon' }))
    return Response.json({ ...answer, result: [...odd, { uid: 'x'.repeat(32), name: null }] })
  })
}

describe('a doubtful creation', () => {
  it('A doubtful creation is found though entries of the list lack what is not needed', async () => {
    const begunAt = await doubtfulCreation(newBroker(), 'after')
    await emulator.plantKey({ account: env.CLOUDFLARE_ACCOUNT_ID, name: 'somebody else’s' })
    listOddly()
    setClock(begunAt + MINUTE_MS)
    await runJobs('acme')
    expect(await stateNow()).toBe('failed')
    expect((await liveKeys()).map(({ name }) => name)).toEqual(['somebody else’s'])
  })

  it('A doubtful creation that took effect is found by its marker at the first look, deleted upstream and failed', async () => {
    const broker = newBroker()
    const begunAt = await doubtfulCreation(broker, 'after')
    expect(await liveKeys()).toHaveLength(1)
    setClock(begunAt + MINUTE_MS)
    await runJobs('acme')
    expect(await liveKeys()).toEqual([])
    expect(await stateNow()).toBe('failed')
    expect(await jobRows('acme')).toEqual([])
    const audit = await tenantSql('acme', "SELECT actor, outcome FROM audit_events WHERE action = 'turn_key.undo'")
    expect(audit).toEqual([{ actor: 'broker', outcome: 'done' }])
  })

  it('A doubtful creation that never was is looked for after 1, 5, 15 and 60 minutes and 24 hours, and fails only then', async () => {
    const begunAt = await doubtfulCreation(newBroker(), 'before')
    for (const [look, dueMs] of LOOKS_MS.entries()) {
      setClock(begunAt + dueMs - SECOND_MS)
      await runJobs('acme')
      expect(await countAsked('list'), `before look ${look + 1}`).toBe(look)
      expect(await stateNow()).toBe('unknown')
      setClock(begunAt + dueMs)
      await runJobs('acme')
      expect(await countAsked('list'), `at look ${look + 1}`).toBe(look + 1)
    }
    expect(await stateNow()).toBe('failed')
    expect(await jobRows('acme')).toEqual([])
    expect(await countAsked('delete')).toBe(0)
  })

  it('A doubtful creation is found when the list catches up at last, and not given up before', async () => {
    await emulator.settings({ listLagMs: 30 * MINUTE_MS })
    const begunAt = await doubtfulCreation(newBroker(), 'after')
    const realMs = begunAt
    for (const dueMs of LOOKS_MS.slice(0, 3)) {
      await setBothClocks(begunAt + dueMs, realMs)
      await runJobs('acme')
      expect(await stateNow()).toBe('unknown')
      expect(await liveKeys()).toHaveLength(1)
    }
    await setBothClocks(begunAt + HOUR_MS + SECOND_MS, realMs)
    await runJobs('acme')
    expect(await stateNow()).toBe('failed')
    expect(await liveKeys()).toEqual([])
  })

  it('A doubtful creation stays in doubt while upstream cannot be asked, or its deletion fails, and is carried on', async () => {
    const begunAt = await doubtfulCreation(newBroker(), 'after')
    const failures = [
      ['list', { kind: 'status', status: 500 }],
      ['list', { kind: 'shape', shape: 'html' }],
      ['list', { kind: 'truncate', by: 'json' }],
      ['delete', { kind: 'status', status: 500 }],
      ['delete', { kind: 'status', status: 404, body: 'html' }],
    ] as const
    let now = begunAt + MINUTE_MS
    for (const [operation, fault] of failures) {
      await emulator.fault({ operation, fault })
      setClock(now)
      await runJobs('acme')
      expect(await stateNow(), `${operation} ${fault.kind}`).toBe('unknown')
      now += HOUR_MS
    }
    setClock(now)
    await runJobs('acme')
    expect(await stateNow()).toBe('failed')
    expect(await liveKeys()).toEqual([])
  })

  it('A doubtful creation deletes nothing but keys that carry its whole marker', async () => {
    const broker = newBroker()
    const begunAt = await doubtfulCreation(broker, 'after')
    const beta = await newTenant(broker, 'beta')
    const bystander = await newTurnKey(broker, beta)
    const [row] = await keyRows('acme')
    const [doubtful] = await liveKeys()
    const account = doubtful?.account ?? ''
    const marker = `tb.test.${row?.intent}`
    const others = [`${marker}x first`, ` ${marker}`, `tb.other.${row?.intent} first`, 'first', '', marker.slice(0, -1)]
    const planted = []
    for (const name of others) planted.push((await emulator.plantKey({ account, name })).uid)
    const twins = [
      await emulator.plantKey({ account, name: marker }),
      await emulator.plantKey({ account, name: `${marker} 2` }),
    ]
    setClock(begunAt + MINUTE_MS)
    await runJobs('acme')
    const left = (await liveKeys()).map(({ uid }) => uid)
    expect(left.sort()).toEqual([...planted, bystander].sort())
    for (const { uid } of twins) expect(left).not.toContain(uid)
  })

  it('A doubtful creation counts every call upstream against the budget', async () => {
    const begunAt = await doubtfulCreation(newBroker(), 'after')
    setClock(begunAt + MINUTE_MS)
    await runJobs('acme')
    expect((await emulator.log()).map(({ operation }) => operation)).toEqual(['create', 'list', 'delete'])
    expect(await accountSql('SELECT sum(calls) AS spent FROM api_calls')).toEqual([{ spent: 3 }])
  })

  it('A doubtful creation of several tenants is settled with one question upstream', async () => {
    const broker = newBroker()
    const tenants = await Promise.all(['one', 'two', 'three'].map((id) => newTenant(broker, id)))
    await emulator.fault({ operation: 'create', fault: { kind: 'reset', at: 'mid-response' }, times: 3 })
    const answers = await Promise.all(tenants.map(({ id, token }) => broker.call('POST', keysPath(id), token, {})))
    for (const answer of answers) expectFailure(answer, 'outcome_unknown')
    setClock(Date.now() + 1.1 * MINUTE_MS)
    await Promise.all([runJobs('one'), runJobs('two')])
    await runJobs('three')
    expect(await liveKeys()).toEqual([])
    expect(await countAsked('list')).toBe(1)
  })

  it('A doubtful creation takes a place in maxTurnKeys for 15 minutes', async () => {
    const broker = newBroker()
    const begunAt = await doubtfulCreation(broker, 'before')
    expectStatus(await broker.admin('PATCH', '/tenants/acme', { policy: { maxTurnKeys: 1 } }), 200)
    const { token } = (
      await broker.admin('POST', '/tenants/acme/api-tokens', { name: 't', scopes: ['turn_keys:write'] })
    ).json
    setClock(begunAt + 15 * MINUTE_MS - SECOND_MS)
    expectFailure(await broker.call('POST', keysPath('acme'), token, {}), 'turn_key_limit')
    setClock(begunAt + 15 * MINUTE_MS)
    expectStatus(await broker.call('POST', keysPath('acme'), token, {}), 201)
  })
})
