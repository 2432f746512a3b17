/** A tenant's storage that was set back in time, or lost: what comes back, what stays closed, and what is reported. */
import { runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { expectStatus, keysPath, newBroker, newTenant, newToken, newTurnKey } from '../support/broker/broker.ts'
import { DAY_MS, MINUTE_MS, passTime } from '../support/broker/clock.ts'
import { expectProblem } from '../support/broker/doors.ts'
import { runJobs, runJobsOf, tenantStub } from '../support/storage/storage.ts'
import { giveBookmarks, keep } from '../support/storage/timeTravel.ts'

const restore = (broker: ReturnType<typeof newBroker>, body: object, id = 'acme') =>
  broker.admin('POST', `/tenants/${id}/restore`, body)

async function acmeLater() {
  const broker = newBroker()
  const acme = await newTenant(broker, 'acme', { scopes: ['turn_keys:read', 'turn_keys:write'] })
  const uid = await newTurnKey(broker, acme)
  const then = await keep('acme')
  const at = new Date(Date.now()).toISOString()
  passTime(MINUTE_MS)
  return { broker, acme, uid, then, at }
}

describe('a tenant that is set back in time', () => {
  it('A tenant that is set back in time is what it was, but suspended, and the list of tenants shows so', async () => {
    const { broker, acme, uid, then, at } = await acmeLater()
    const since = await newToken(broker, 'acme', ['turn_keys:read'])
    expectStatus(await broker.admin('PATCH', '/tenants/acme', { name: 'Renamed' }), 200)
    passTime(MINUTE_MS)
    await runJobs('acme')
    const before = (await broker.admin('GET', '/tenants/acme')).json

    await giveBookmarks('acme', then)
    const answer = await restore(broker, { at })
    expectStatus(answer, 200)
    expect(answer.json).toMatchObject({ undo: 'now', tenant: { id: 'acme', name: 'Tenant acme', status: 'suspended' } })
    expect(answer.json.tenant.version).toBeGreaterThan(before.version)

    // The newer token is gone; the older one can read. Nothing is created or minted.
    expect((await broker.call('GET', keysPath('acme'), since.token)).status).toBe(401)
    expectStatus(await broker.call('GET', keysPath('acme', uid), acme.token), 200)
    expect((await broker.call('POST', keysPath('acme'), acme.token, { name: 'x' })).status).toBe(403)
    passTime(MINUTE_MS)
    await runJobs('acme')
    expect((await broker.admin('GET', '/tenants')).json.items).toMatchObject([
      { name: 'Tenant acme', status: 'suspended' },
    ])

    expectStatus(await broker.admin('PATCH', '/tenants/acme', { status: 'active' }), 200)
    expectStatus(await broker.call('POST', keysPath('acme'), acme.token, { name: 'x' }), 201)
  })

  it('A restore to a time that the runtime does not have fails, and the tenant stays as it is', async () => {
    const { broker, acme, uid, at } = await acmeLater()
    const answer = await restore(broker, { at })
    expectProblem(answer, 'storage_failed')
    expect(answer.json.detail).toBe('The storage cannot be set back to that time.')
    expect((await broker.admin('GET', '/tenants/acme')).json.status).toBe('active')
    expectStatus(await broker.call('GET', keysPath('acme', uid), acme.token), 200)
  })

  it('A restore fails where the object only restarted and its storage was not set back', async () => {
    const { broker, at } = await acmeLater()
    await giveBookmarks('acme', await keep('acme'))
    await runInDurableObject(tenantStub('acme'), (_, { storage }) => {
      Object.assign(storage, { onNextSessionRestoreBookmark: async () => 'now' })
    })
    const answer = await restore(broker, { at })
    expectProblem(answer, 'storage_failed')
    expect(answer.json.detail).toBe('The storage was not restored; repeat the request.')
    expect((await broker.admin('GET', '/tenants/acme')).json.status).toBe('active')
  })
})

describe('a tenant whose storage was lost', () => {
  it('A tenant whose storage was lost is set up again, suspended and empty, under its id', async () => {
    const { broker, acme } = await acmeLater()
    await runInDurableObject(tenantStub('acme'), async (_, { storage }) => {
      await storage.deleteAlarm()
      await storage.deleteAll()
    })
    await runInDurableObject(tenantStub('acme'), (_, state) => state.abort()).catch(() => undefined)
    expect((await broker.call('GET', keysPath('acme'), acme.token)).status).toBe(401)

    const answer = await restore(broker, {})
    expectStatus(answer, 200)
    expect(answer.json).toMatchObject({
      undo: null,
      tenant: { id: 'acme', status: 'suspended', counts: { turnKeys: 0 } },
    })
    expect((await broker.call('GET', keysPath('acme'), acme.token)).status).toBe(401)
    expectStatus(await broker.admin('PATCH', '/tenants/acme', { status: 'active' }), 200)
    const token = await newToken(broker, 'acme', ['turn_keys:read', 'turn_keys:write'])
    expectStatus(await broker.call('POST', keysPath('acme'), token.token, { name: 'x' }), 201)
  })

  it('A restore without a time is refused where the storage of the tenant exists', async () => {
    const { broker } = await acmeLater()
    expectProblem(await restore(broker, {}), 'conflict')
    expectProblem(await restore(broker, {}, 'nobody'), 'not_found')
  })

  it('A restore that a crash interrupted is finished by its job, and the tenant is suspended', async () => {
    const { broker } = await acmeLater()
    await interrupted()
    expect((await broker.admin('GET', '/tenants/acme')).json.status).toBe('suspended')
    expect(await restoringJobs()).toEqual([])
  })

  it('A restore that a crash interrupted before the tenant was set back leaves the tenant as it is', async () => {
    const { broker } = await acmeLater()
    await runInDurableObject(tenantStub('acme'), (_, { storage }) => {
      storage.sql.exec("INSERT INTO jobs (kind, key, due) VALUES ('set-back', '', ?)", Date.now() + DAY_MS)
    })
    await interrupted()
    expect((await broker.admin('GET', '/tenants/acme')).json.status).toBe('active')
    expect(await restoringJobs()).toEqual([])
  })

  it('A restore that a crash interrupted does not bring back a tenant that was deleted meanwhile', async () => {
    const { broker } = await acmeLater()
    expectStatus(await broker.admin('DELETE', '/tenants/acme?cascade=true'), 202)
    for (let round = 0; round < 3; round++) {
      passTime(MINUTE_MS)
      await runJobs('acme')
    }
    expect((await broker.admin('GET', '/tenants/acme')).status).toBe(404)
    await interrupted()
    expect(await restoringJobs()).toEqual([])
    expect((await broker.admin('GET', '/tenants/acme')).status).toBe(404)
  })

  it('A restore that a crash interrupted asks the Tenant again until it has answered', async () => {
    const { broker } = await acmeLater()
    await runInDurableObject(tenantStub('acme'), (_, { storage }) => {
      storage.sql.exec("CREATE TRIGGER full BEFORE UPDATE ON tenant BEGIN SELECT RAISE(ABORT, 'full'); END")
    })
    await interrupted()
    expect((await broker.admin('GET', '/tenants/acme')).json.status).toBe('active')
    expect(await restoringJobs()).toEqual(['acme'])

    await runInDurableObject(tenantStub('acme'), (_, { storage }) => storage.sql.exec('DROP TRIGGER full').toArray())
    passTime(MINUTE_MS)
    await runJobsOf(account())
    expect((await broker.admin('GET', '/tenants/acme')).json.status).toBe('suspended')
    expect(await restoringJobs()).toEqual([])
  })
})

const account = () => env.ACCOUNT.get(env.ACCOUNT.idFromName('account'))

/** The Account died while it restored `acme`, and its alarm fires. */
async function interrupted(): Promise<void> {
  await runInDurableObject(account(), (_, { storage }) => {
    storage.sql.exec("INSERT INTO jobs (kind, key, due) VALUES ('restore-tenant', 'acme', 0)")
    return storage.setAlarm(Date.now())
  })
  passTime(MINUTE_MS)
  await runJobsOf(account())
}

const restoringJobs = (): Promise<unknown[]> =>
  runInDurableObject(account(), (_, { storage: { sql } }) =>
    sql
      .exec("SELECT key FROM jobs WHERE kind = 'restore-tenant'")
      .toArray()
      .map(({ key }) => key),
  )
