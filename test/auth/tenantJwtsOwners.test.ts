/** An issuer with an audience belongs to one tenant: claimed before it is in a policy, freed when it is in none. */
import { runInDurableObject } from 'cloudflare:test'
import { describe, expect, it, vi } from 'vitest'
import { type Broker, expectStatus, newBroker, newTenant } from '../support/broker/broker.ts'
import { MINUTE_MS, passTime } from '../support/broker/clock.ts'
import { outcomeOf, shown } from '../support/broker/contract.ts'
import { issuerAt, newKey } from '../support/secrets/idp.ts'
import { runJobs } from '../support/storage/storage.ts'
import { accountSql, accountStub } from '../support/storage/tenantRows.ts'

const key = await newKey('a')
const of = (audience: string, issuer = 'https://login.example', more: object = {}) =>
  issuerAt({ keys: [key] }, { issuer, audience, ...more })

const share = (value: string, claim = 'aud') => ({ issuer: 'https://login.example', claim, value })

const patch = (broker: Broker, id: string, issuers: unknown, headers?: Record<string, string>) =>
  broker.admin('PATCH', `/tenants/${id}`, { policy: { issuers } }, headers)
const create = (broker: Broker, id: string, issuers: unknown) =>
  broker.admin('POST', '/tenants', { id, name: id, region: 'weur', policy: { issuers } })

const owners = async () =>
  Object.fromEntries((await accountSql('SELECT value, tenant FROM issuers')).map((it) => [it.value, it.tenant]))

async function twoTenants() {
  const broker = newBroker()
  await newTenant(broker, 'acme', { policy: { issuers: [of('calls')] } })
  await newTenant(broker, 'globex')
  return broker
}

const reportAll = async (...ids: string[]) => {
  passTime(MINUTE_MS)
  for (const id of ids) await runJobs(id)
}

const byClient = (claim: string, value: string) => of('', undefined, { audience: undefined, client: { claim, value } })

describe('G3: an issuer with a client', () => {
  it('G3: An issuer with a client of one tenant is a conflict for every other, and so is another claim of that issuer', async () => {
    const broker = await twoTenants()
    expectStatus(await patch(broker, 'acme', [of('calls'), byClient('azp', 'web')]), 200)
    const tries = [
      byClient('azp', 'web'),
      byClient('client_id', 'web'),
      byClient('a', 'web'),
      byClient('zone', 'web'),
      byClient('iss', 'https://login.example'),
    ]
    for (const entry of tries) {
      for (const answer of [
        await patch(broker, 'globex', [of('new'), entry]),
        await create(broker, 'thief', [entry]),
      ]) {
        expect(outcomeOf(answer), shown(answer)).toBe('409 conflict')
        expect(answer.text).toContain('client')
      }
    }
    expect(await owners()).toEqual({ calls: 'acme', web: 'acme' })

    // Another client by the same claim, any claim of another issuer, and any audience are free.
    const other = of('', 'https://other.example', { audience: undefined, client: { claim: 'client_id', value: 'web' } })
    expectStatus(await patch(broker, 'globex', [byClient('azp', 'app'), other, of('web')]), 200)
    // A tenant may use several claims of an issuer that is its own.
    expectStatus(await patch(broker, 'globex', [other, { ...other, client: { claim: 'azp', value: 'web' } }]), 200)
  })

  it('G3: An issuer with a client is free again once its tenant does not have it, with every audience of a list', async () => {
    const broker = await twoTenants()
    expectStatus(await patch(broker, 'acme', [byClient('azp', 'web'), { ...of(''), audience: ['a', 'b', 'c'] }]), 200)
    expect(await owners()).toMatchObject({ web: 'acme', a: 'acme', b: 'acme', c: 'acme' })
    expect(outcomeOf(await patch(broker, 'globex', [{ ...of(''), audience: ['x', 'c'] }]))).toBe('409 conflict')
    expectStatus(await patch(broker, 'acme', [{ ...of(''), audience: ['b'] }]), 200)
    await reportAll('acme')
    expect(await owners()).toEqual({ b: 'acme' })
    const freed = [byClient('client_id', 'web'), { ...of(''), audience: ['a', 'c'] }]
    expectStatus(await patch(broker, 'globex', freed), 200)
  })
})

describe('an issuer with an audience', () => {
  it('An issuer with an audience of one tenant is a conflict for every other, at creation and in a patch, also among others', async () => {
    const broker = await twoTenants()
    const tries = [
      await create(broker, 'thief', [of('calls')]),
      await create(broker, 'thief', [of('new'), of('calls')]),
      await patch(broker, 'globex', [of('calls')]),
      await patch(broker, 'globex', [of('new'), of('calls'), of('newer')]),
    ]
    for (const answer of tries) expect(outcomeOf(answer), shown(answer)).toBe('409 conflict')
    expect(await owners(), 'of a list that fails, nothing is claimed').toEqual({ calls: 'acme' })
    expectStatus(await broker.admin('GET', '/tenants/thief'), 404)
    expect((await broker.admin('GET', '/tenants/globex')).json.policy.issuers).toEqual([])

    // Another audience, or another issuer, is another thing; one's own may be said again.
    expectStatus(await patch(broker, 'globex', [of('Calls'), of('calls', 'https://login.example/')]), 200)
    expectStatus(await patch(broker, 'acme', [of('calls'), of('more')]), 200)
    expectStatus(await create(broker, 'thief', [of('new')]), 201)
  })

  it('An issuer with an audience that two tenants want in the same moment is given to one', async () => {
    const broker = await twoTenants()
    const answers = await Promise.all([
      patch(broker, 'acme', [of('calls'), of('wanted')]),
      patch(broker, 'globex', [of('wanted')]),
      create(broker, 'third', [of('wanted')]),
    ])
    expect(answers.map(outcomeOf).filter((it) => it === '409 conflict')).toHaveLength(2)
  })

  it('An issuer with an audience is free again once its tenant does not have it, and not before', async () => {
    const broker = await twoTenants()
    expectStatus(await patch(broker, 'acme', null), 200)
    await reportAll('acme')
    expect(await owners()).toEqual({})
    expectStatus(await patch(broker, 'globex', [of('calls')]), 200)
    expect(outcomeOf(await patch(broker, 'acme', [of('calls')]))).toBe('409 conflict')
  })

  it('An issuer with an audience is free again after the deletion of its tenant', async () => {
    const broker = await twoTenants()
    expectStatus(await broker.admin('DELETE', '/tenants/acme?cascade=true'), 202)
    for (let round = 0; round < 3; round++) await reportAll('acme')
    expectStatus(await broker.admin('GET', '/tenants/acme'), 404)
    expect(await owners()).toEqual({})
    const late = await runInDurableObject(accountStub(), (account) => account.claimIssuers('acme', [share('late')]))
    expect(late, 'a claim that was under way meanwhile').toMatchObject({ ok: false })
    expectStatus(await patch(broker, 'globex', [of('calls')]), 200)
  })

  it('An issuer with an audience that a failed patch has claimed is free again soon', async () => {
    const broker = await twoTenants()
    const failing = [
      await patch(broker, 'globex', [of('x')], { 'if-match': '"99"' }),
      await broker.admin('PATCH', '/tenants/globex', { policy: { issuers: [of('y')], maxTtl: 60, defaultTtl: 61 } }),
    ]
    expect(failing.map(({ status }) => status)).toEqual([412, 400])
    await reportAll('globex')
    expect(await owners()).toEqual({ calls: 'acme' })
    expectStatus(await patch(broker, 'acme', [of('calls'), of('x'), of('y')]), 200)
  })

  /** A report that broke for its tenant's object, and reached the Account nevertheless, after the next claim. */
  async function freedByALateReport(broker: Broker) {
    await reportAll('globex')
    const [row] = await accountSql("SELECT version FROM tenants WHERE id = 'globex'")
    expectStatus(await patch(broker, 'globex', [of('fresh')]), 200)
    const late = { id: 'globex', name: 'globex', status: 'active', version: Number(row?.version), issuers: [] } as const
    await runInDurableObject(accountStub(), (account) => account.reportTenant(late))
    expect(await owners()).toEqual({ calls: 'acme' })
  }

  it('An issuer with an audience that a late report of its tenant has freed is claimed again by the next one', async () => {
    const broker = await twoTenants()
    await freedByALateReport(broker)
    await reportAll('globex')
    expect(await owners()).toEqual({ calls: 'acme', fresh: 'globex' })
    expect(outcomeOf(await patch(broker, 'acme', [of('fresh')]))).toBe('409 conflict')
  })

  it('An issuer with an audience that another tenant took meanwhile is reported to the operator', async () => {
    const broker = await twoTenants()
    await freedByALateReport(broker)
    expectStatus(await patch(broker, 'acme', [of('calls'), of('fresh')]), 200)
    const logged = vi.spyOn(console, 'error').mockImplementation(() => undefined)
    await reportAll('globex')
    const lines = logged.mock.calls.map(([line]) => JSON.parse(String(line)) as unknown)
    logged.mockRestore()
    expect(lines).toEqual([{ level: 'error', event: 'issuer_conflict', tenant: 'globex' }])
    expect(await owners()).toEqual({ calls: 'acme', fresh: 'acme' })
  })

  it('An issuer with an audience of a tenant that is no more is not claimed by its last report', async () => {
    const broker = await twoTenants()
    expectStatus(await broker.admin('DELETE', '/tenants/acme?cascade=true'), 202)
    for (let round = 0; round < 3; round++) await reportAll('acme')
    const last = { id: 'acme', name: 'acme', status: 'deleting', version: 99, issuers: [share('calls')] } as const
    await runInDurableObject(accountStub(), (account) => account.reportTenant(last))
    expect(await owners()).toEqual({})
  })

  it('An issuer with an audience stays claimed when an older report of its tenant comes between the claim and the policy', async () => {
    const broker = await twoTenants()
    // The Account is busy: the claim waits before its door, and what comes after it waits behind it.
    let letGo = () => {}
    const busy = new Promise<void>((resolve) => {
      letGo = resolve
    })
    const blocked = runInDurableObject(accountStub(), (_, state) => state.blockConcurrencyWhile(() => busy))
    const patched = patch(broker, 'globex', [of('fresh')])
    await new Promise((resolve) => setTimeout(resolve, 50))
    expectStatus(await broker.admin('PATCH', '/tenants/globex', { name: 'a report is due' }), 200)
    passTime(MINUTE_MS)
    const reported = runJobs('globex')
    await new Promise((resolve) => setTimeout(resolve, 50))
    letGo()
    expectStatus(await patched, 200)
    await Promise.all([blocked, reported])
    await reportAll('globex')
    expect(await owners()).toEqual({ calls: 'acme', fresh: 'globex' })
    expect(outcomeOf(await patch(broker, 'acme', [of('fresh')]))).toBe('409 conflict')
  })
})
