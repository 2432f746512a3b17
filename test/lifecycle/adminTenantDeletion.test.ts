/** Deleting a tenant: everything stops at once, its keys and its storage are deleted, its id is never used again. */

import { describe, expect, it } from 'vitest'
import type { Answer } from '../support/broker/answer.ts'
import { type Broker, expectStatus, keysPath, newBroker, newTenant } from '../support/broker/broker.ts'
import { MINUTE_MS, passTime } from '../support/broker/clock.ts'
import { outcomeOf, shown } from '../support/broker/contract.ts'
import { emulator, liveKeys } from '../support/broker/upstream.ts'
import { furnish } from '../support/contract/callers.ts'
import { rowsOf, runJobs, tenantStub } from '../support/storage/storage.ts'

const expectOutcome = (answer: Answer, outcome: string) => expect(outcomeOf(answer), shown(answer)).toBe(outcome)

async function runJobsOver(minutes: number, tenant: string) {
  for (let minute = 0; minute < minutes; minute++) {
    passTime(MINUTE_MS)
    await runJobs(tenant)
  }
}

const statusOf = async (broker: Broker, id: string) =>
  (await broker.admin('GET', '/tenants')).json.items.find((item: { id: string }) => item.id === id)?.status

describe('the deletion of a tenant', () => {
  it('The deletion of a tenant with TURN keys is refused unless cascade=true deletes them too', async () => {
    const broker = newBroker()
    const acme = await furnish(broker, 'acme')
    for (const query of ['', '?cascade=false']) {
      expectOutcome(await broker.admin('DELETE', `/tenants/acme${query}`), '409 tenant_has_keys')
    }
    for (const query of ['?cascade=1', '?cascade=', '?cascade=TRUE']) {
      expectOutcome(await broker.admin('DELETE', `/tenants/acme${query}`), '400 invalid_request')
    }
    expectOutcome(await broker.call('GET', keysPath('acme', acme.keyId), acme.token), '200')
    expectOutcome(await broker.admin('DELETE', '/tenants/acme?cascade=true'), '202')
  })

  it('The deletion of a tenant needs no cascade once its TURN keys are deleted', async () => {
    const broker = newBroker()
    const acme = await furnish(broker, 'acme')
    expectStatus(await broker.call('DELETE', keysPath('acme', acme.keyId), acme.token), 200)
    const deleted = await broker.admin('DELETE', '/tenants/acme')
    expect([deleted.status, deleted.json], shown(deleted)).toEqual([202, { id: 'acme', status: 'deleting' }])
  })

  it('The deletion of a tenant stops its tokens at once, and refuses further changes', async () => {
    const broker = newBroker()
    const acme = await furnish(broker, 'acme')
    expectStatus(await broker.call('GET', keysPath('acme', acme.keyId), acme.token), 200)
    expectOutcome(await broker.admin('DELETE', '/tenants/acme?cascade=true'), '202')
    expectOutcome(await broker.call('GET', keysPath('acme', acme.keyId), acme.token), '401 10000')
    expectOutcome(await broker.call('POST', keysPath('acme'), acme.token, {}), '401 10000')
    expectOutcome(await broker.admin('GET', '/tenants/acme'), '200')
    expectOutcome(await broker.admin('PATCH', '/tenants/acme', { status: 'active' }), '409 conflict')
    const body = { name: 'x', scopes: ['usage:read'] }
    expectOutcome(await broker.admin('POST', '/tenants/acme/api-tokens', body), '409 conflict')
    expectOutcome(await broker.admin('DELETE', '/tenants/acme'), '202')
  })

  it('The deletion of a tenant deletes its keys upstream, empties its storage and leaves a tombstone', async () => {
    const broker = newBroker()
    const acme = await furnish(broker, 'acme')
    const other = await furnish(broker, 'other')
    expectOutcome(await broker.admin('DELETE', '/tenants/acme?cascade=true'), '202')
    await runJobsOver(2, 'acme')

    expect((await liveKeys()).map(({ uid }) => uid)).toEqual([other.keyId])
    expect(await rowsOf(tenantStub('acme'))).toEqual({})
    expect(await runJobs('acme'), 'no alarm is left').toBe(false)
    expect(await statusOf(broker, 'acme')).toBeUndefined()
    for (const asker of [broker, newBroker()]) {
      expectOutcome(await asker.admin('GET', '/tenants/acme'), '404 not_found')
      expectOutcome(await asker.call('GET', keysPath('acme'), acme.token), '401 10000')
      const again = { id: 'acme', name: 'Again', region: 'weur' }
      expectOutcome(await asker.admin('POST', '/tenants', again), '409 conflict')
    }
    expect(await rowsOf(tenantStub('acme')), 'requests for a deleted tenant store nothing').toEqual({})
    expectOutcome(await broker.call('GET', keysPath('other', other.keyId), other.token), '200')
  })

  it('A deleted tenant is listed as deleting while Cloudflare cannot remove one of its TURN keys', async () => {
    const broker = newBroker()
    const acme = await furnish(broker, 'acme')
    await emulator.fault({ operation: 'delete', fault: { kind: 'status', status: 500 }, times: 'always' })
    expectOutcome(await broker.admin('DELETE', '/tenants/acme?cascade=true'), '202')
    await runJobsOver(3, 'acme')
    expect(await statusOf(broker, 'acme')).toBe('deleting')
    expect((await liveKeys()).map(({ uid }) => uid)).toEqual([acme.keyId])

    await emulator.clearFaults()
    await runJobsOver(3, 'acme')
    expect(await liveKeys()).toEqual([])
    expect(await statusOf(broker, 'acme')).toBeUndefined()
  })

  it('The deletion of a tenant lets a creation in flight end, and deletes that TURN key too', async () => {
    const broker = newBroker()
    const acme = await newTenant(broker, 'acme')
    await emulator.hold('create', 'in-flight')
    const creation = broker.call('POST', keysPath('acme'), acme.token, {})
    await emulator.untilHeld('in-flight')
    expectOutcome(await broker.admin('DELETE', '/tenants/acme'), '409 tenant_has_keys')
    expectOutcome(await broker.admin('DELETE', '/tenants/acme?cascade=true'), '202')
    await emulator.release('in-flight')
    const refused = await creation
    expectOutcome(refused, '409 31010')
    expect(refused.headers.get('x-should-retry')).toBe('false')
    await runJobsOver(3, 'acme')
    expect(await liveKeys()).toEqual([])
    expect(await statusOf(broker, 'acme')).toBeUndefined()
  })
})
