/** What a creation rests on is taken away, or the ground under it breaks, while upstream is asked. */
import { abortAllDurableObjects } from 'cloudflare:test'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { Answer } from '../support/broker/answer.ts'
import {
  type Broker,
  expectStatus,
  keysPath,
  newBroker,
  newTenant,
  newToken,
  newTurnKey,
} from '../support/broker/broker.ts'
import { MINUTE_MS, passTime, until } from '../support/broker/clock.ts'
import { expectFailure, expectNoRepeat } from '../support/broker/errors.ts'
import { countAsked, emulator, liveKeys } from '../support/broker/upstream.ts'
import { runJobs } from '../support/storage/storage.ts'
import { accountSql, breakAudit, jobRows, keyRows, repairAudit, tenantSql } from '../support/storage/tenantRows.ts'

afterEach(() => {
  vi.restoreAllMocks()
})

interface Tenant {
  id: string
  token: string
  tokenId: string
}

/** Does something while the POST of a creation is held open, lets it take effect, and gives the creation's answer. */
async function meanwhile(broker: Broker, tenant: Tenant, happens: () => Promise<unknown>): Promise<Answer> {
  await emulator.hold('create', 'open', { when: 'after' })
  const created = broker.call('POST', keysPath(tenant.id), tenant.token, { name: 'x' }, { 'idempotency-key': 'k' })
  await emulator.untilHeld('open')
  await happens()
  await emulator.release('open')
  return created
}

const newAcme = (broker: Broker) =>
  newTenant(broker, 'acme', { scopes: ['turn_keys:read', 'turn_keys:write', 'turn_keys:reveal'] })

describe('while upstream is asked', () => {
  it('While upstream is asked the tenant is suspended: the caller is refused and the key goes away', async () => {
    const broker = newBroker()
    const acme = await newAcme(broker)
    const suspend = () => broker.admin('PATCH', '/tenants/acme', { status: 'suspended' })
    const answer = await meanwhile(broker, acme, suspend)
    expectFailure(answer, 'tenant_suspended')
    expectNoRepeat(answer)
    await until('the key is gone upstream', async () => (await liveKeys()).length === 0)
    await until('the row is deleted', async () => (await keyRows('acme'))[0]?.state === 'deleted')
    expect(await keyRows('acme')).toMatchObject([{ sealed: null, revealed: 0 }])

    // The repeat gets the same answer, also when the tenant may create again.
    await broker.admin('PATCH', '/tenants/acme', { status: 'active' })
    const repeat = await broker.call('POST', keysPath('acme'), acme.token, { name: 'x' }, { 'idempotency-key': 'k' })
    expectFailure(repeat, 'tenant_suspended')
    expect(await countAsked('create')).toBe(1)
  })

  it('While upstream is asked the API token is deleted: the caller is refused and the key goes away', async () => {
    const broker = newBroker()
    const acme = await newAcme(broker)
    const revoke = () => broker.admin('DELETE', `/tenants/acme/api-tokens/${acme.tokenId}`)
    expectFailure(await meanwhile(broker, acme, revoke), 'invalid_token')
    await until('the key is gone upstream', async () => (await liveKeys()).length === 0)
  })

  it('A refusal that is repeated to another API token is not remembered against that token', async () => {
    const broker = newBroker()
    const acme = await newAcme(broker)
    const other = await newToken(broker, 'acme', ['turn_keys:write'])
    await meanwhile(broker, acme, () => broker.admin('DELETE', `/tenants/acme/api-tokens/${acme.tokenId}`))
    const create = (headers: Record<string, string>) =>
      broker.call('POST', keysPath('acme'), other.token, { name: 'x' }, headers)
    expectFailure(await create({ 'idempotency-key': 'k' }), 'invalid_token')
    expectStatus(await create({}), 201)
  })

  it('While upstream is asked the tenant is deleted: the caller is refused, the key goes away, and then the tenant', async () => {
    const broker = newBroker()
    const acme = await newAcme(broker)
    const answer = await meanwhile(broker, acme, () => broker.admin('DELETE', '/tenants/acme?cascade=true'))
    expectFailure(answer, 'conflict')
    expectNoRepeat(answer)
    await until('the key is gone upstream', async () => (await liveKeys()).length === 0)
    for (let round = 0; round < 2; round++) {
      passTime(MINUTE_MS)
      await runJobs('acme')
    }
    expect(await accountSql("SELECT state FROM tenants WHERE id = 'acme'")).toEqual([{ state: 'deleted' }])
  })

  it('While upstream is asked the object dies: no caller is handed anything, and the key it left upstream is found and deleted', async () => {
    const broker = newBroker()
    const acme = await newAcme(broker)
    const answer = await meanwhile(broker, acme, () => abortAllDurableObjects())
    expectFailure(answer, 'outcome_unknown')
    expectNoRepeat(answer)
    expect(await liveKeys()).toHaveLength(1)
    expect(await keyRows('acme')).toMatchObject([{ state: 'creating' }])
    passTime(1.1 * MINUTE_MS)
    await runJobs('acme')
    expect(await keyRows('acme')).toMatchObject([{ state: 'failed', sealed: null }])
    expect(await liveKeys()).toEqual([])
    expect(await jobRows('acme')).toEqual([])
    const trail = await tenantSql(
      'acme',
      "SELECT outcome FROM audit_events WHERE action LIKE 'turn_key.%' ORDER BY seq",
    )
    expect(trail.map(({ outcome }) => outcome)).toEqual(['begun', 'unknown', 'done'])
  })

  it('While upstream is asked storage breaks: the outcome is unknown, nothing is handed out, and the key is undone when it works again', async () => {
    const broker = newBroker()
    const acme = await newAcme(broker)
    const answer = await meanwhile(broker, acme, () => breakAudit('acme'))
    expectFailure(answer, 'outcome_unknown')
    expectNoRepeat(answer)
    expect(await keyRows('acme')).toMatchObject([{ state: 'creating', uid: null, sealed: null }])
    await repairAudit('acme')
    passTime(1.1 * MINUTE_MS)
    await runJobs('acme')
    expect(await keyRows('acme')).toMatchObject([{ state: 'failed' }])
    expect(await liveKeys()).toEqual([])
  })

  it('While upstream is asked storage refuses the key itself: the outcome is unknown and the intent says so', async () => {
    const broker = newBroker()
    const acme = await newAcme(broker)
    const answer = await meanwhile(broker, acme, () => breakAudit('acme', "NEW.outcome = 'done'"))
    expectFailure(answer, 'outcome_unknown')
    expectNoRepeat(answer)
    expect(await keyRows('acme')).toMatchObject([{ state: 'unknown', uid: null, sealed: null }])
  })
})

describe('storage that breaks', () => {
  it('Storage that breaks before the intent: nothing is asked upstream', async () => {
    const broker = newBroker()
    const acme = await newAcme(broker)
    await breakAudit('acme')
    expectFailure(await broker.call('POST', keysPath('acme'), acme.token, {}), 'storage_failed')
    expect(await countAsked('create')).toBe(0)
    expect(await keyRows('acme')).toEqual([])
  })

  it('Storage that breaks when the secret is to be shown: it is not, the key stays, and no caller is invited to make another', async () => {
    const broker = newBroker()
    const acme = await newAcme(broker)
    await breakAudit('acme', "NEW.action = 'turn_key.reveal'")
    const create = () => broker.call('POST', keysPath('acme'), acme.token, {}, { 'idempotency-key': 'k' })
    const answer = await create()
    expectFailure(answer, 'storage_failed')
    expectNoRepeat(answer)
    expect(await keyRows('acme')).toMatchObject([{ state: 'active', revealed: 0 }])
    await repairAudit('acme')
    expect((await create()).json.result.key).toMatch(/^.{64}$/)
    expect(await countAsked('create')).toBe(1)
  })
})

describe('a uid that is another tenant’s', () => {
  /** Every answer to a creation names this uid, as a confused upstream would. */
  function answerWithUid(uid: string): void {
    const real = globalThis.fetch
    vi.spyOn(globalThis, 'fetch').mockImplementation(async (input, init) => {
      const response = await real(input, init)
      if (init?.method !== 'POST' || !String(input).endsWith('/turn_keys')) return response
      const answer = (await response.json()) as { result: { uid: string } }
      answer.result.uid = uid
      return Response.json(answer, response)
    })
  }

  it('A uid that is another tenant’s is never handed out, never deleted, and what was really made is undone', async () => {
    const broker = newBroker()
    const acme = await newAcme(broker)
    const beta = await newTenant(broker, 'beta')
    const uid = await newTurnKey(broker, beta, 'precious')
    answerWithUid(uid)
    const answer = await broker.call('POST', keysPath('acme'), acme.token, { name: 'x' })
    expectFailure(answer, 'outcome_unknown')
    expect(answer.text).not.toContain(uid)
    expect(await keyRows('acme')).toMatchObject([{ state: 'unknown', uid: null, sealed: null }])
    passTime(1.1 * MINUTE_MS)
    await runJobs('acme')
    expect(await keyRows('acme')).toMatchObject([{ state: 'failed' }])
    expect((await liveKeys()).map((key) => key.uid)).toEqual([uid])
    expect((await emulator.log('delete')).filter(({ path }) => path.endsWith(uid))).toEqual([])
    expectStatus(await broker.call('GET', keysPath('beta', uid), beta.token), 200)
    expectFailure(await broker.call('GET', keysPath('acme', uid), acme.token), 'no_such_key')
  })

  it('A uid that is another tenant’s nor handed out twice to the tenant that has it', async () => {
    const broker = newBroker()
    const acme = await newAcme(broker)
    const uid = await newTurnKey(broker, acme, 'precious')
    const [before] = await keyRows('acme')
    answerWithUid(uid)
    expectFailure(await broker.call('POST', keysPath('acme'), acme.token, {}), 'outcome_unknown')
    passTime(1.1 * MINUTE_MS)
    await runJobs('acme')
    expect((await keyRows('acme')).map(({ state }) => state)).toEqual(['active', 'failed'])
    expect((await keyRows('acme'))[0]).toEqual(before)
    expect((await liveKeys()).map((key) => key.uid)).toEqual([uid])
  })

  it('A uid that is another tenant’s is not believed either when the answer is about a key of another name', async () => {
    const broker = newBroker()
    const acme = await newAcme(broker)
    const real = globalThis.fetch
    vi.spyOn(globalThis, 'fetch').mockImplementation(async (input, init) => {
      const answer = await (await real(input, init)).text()
      return new Response(answer.replace(/"name":"tb\.test\./, '"name":"tb.test.another-'), { status: 201 })
    })
    expectFailure(await broker.call('POST', keysPath('acme'), acme.token, {}), 'outcome_unknown')
    expect(await tenantSql('acme', 'SELECT state, uid FROM turn_keys')).toEqual([{ state: 'unknown', uid: null }])
  })
})
