/** G16: no alarm is lost. What is due runs once the cause is gone: a refused alarm, a broken deployment, an older schema. */
import { abortAllDurableObjects, runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { migrate } from '../../src/storage/migrations.ts'
import { MIGRATIONS } from '../../src/tenant/schema.ts'
import { newBroker, newTenant } from '../support/broker/broker.ts'
import { MINUTE_MS, passTime, until } from '../support/broker/clock.ts'
import { deploy } from '../support/broker/deployment.ts'
import { runJobs } from '../support/storage/storage.ts'
import { accountStub, tenantSql, tenantStub } from '../support/storage/tenantRows.ts'

const alarmOf = (stub: DurableObjectStub) => runInDurableObject(stub, (_, { storage }) => storage.getAlarm())
const forgetAlarm = (stub: DurableObjectStub) => runInDurableObject(stub, (_, { storage }) => storage.deleteAlarm())
/** Unfinished work: every job but the pruning, which never ends. */
const kinds = async (id: string) =>
  (await tenantSql(id, "SELECT kind FROM jobs WHERE kind <> 'prune' ORDER BY kind")).map(({ kind }) => kind)

/** The prototype of the runtime's storage, so that its setAlarm can be made to fail. */
const storageOf = (stub: DurableObjectStub): Promise<DurableObjectStorage> =>
  runInDurableObject(stub, (_, { storage }) => Object.getPrototypeOf(storage) as DurableObjectStorage)

describe('a refused alarm', () => {
  it('G16: An alarm that the runtime refuses is set again by the object itself', async () => {
    await newTenant(newBroker(), 'acme')
    await forgetAlarm(tenantStub('acme'))
    const refuse = vi.spyOn(await storageOf(tenantStub('acme')), 'setAlarm').mockRejectedValueOnce(new Error('no'))
    onTestFinished(() => refuse.mockRestore())
    await abortAllDurableObjects()
    expect(await alarmOf(tenantStub('acme'))).toBeNull()
    expect(refuse).toHaveBeenCalledTimes(1)
    await until('what is due has run', async () => (await kinds('acme')).length === 0)
  })

  it('G16: A job that is due at the beginning of time gets an alarm that the runtime takes', async () => {
    await newTenant(newBroker(), 'acme')
    await tenantSql('acme', 'UPDATE jobs SET due = 0')
    expect(await kinds('acme')).not.toEqual([])
    await forgetAlarm(tenantStub('acme'))
    await abortAllDurableObjects()
    expect(await alarmOf(tenantStub('acme'))).not.toBeNull()
  })
})

describe('an object that starts', () => {
  it.each([
    ['Tenant', () => tenantStub('acme')],
    ['Account', accountStub],
  ] as const)('G16: The %s sets its alarm when it starts with work and without an alarm', async (_name, stub) => {
    await newTenant(newBroker(), 'acme')
    await runInDurableObject(stub(), (_, { storage }) => {
      storage.sql.exec("INSERT INTO jobs (kind, key, due) VALUES ('a-kind-of-old', '', 1) ON CONFLICT DO NOTHING")
    })
    await forgetAlarm(stub())
    await abortAllDurableObjects()
    expect(await alarmOf(stub())).not.toBeNull()
  })
})

describe('a deployment without a sound configuration', () => {
  it('G16: A misconfigured deployment postpones the alarms of Tenant and Account, and loses none', async () => {
    await newTenant(newBroker(), 'acme')
    const broken = deploy({ ROOT_KEYS: 'nonsense' })
    for (const [run, stub] of [
      [() => broken.runTenant('acme'), tenantStub('acme')],
      [broken.runAccount, accountStub()],
    ] as const) {
      await forgetAlarm(stub)
      const before = Date.now()
      await run()
      expect(await alarmOf(stub)).toBeGreaterThan(before)
    }
  })
})

describe('an upgrade', () => {
  const versions = MIGRATIONS.map((_, at) => at + 1)

  it.each(versions)(
    'G16: An object with the first %i migrations and work in it runs what is due after the upgrade',
    async (applied) => {
      const id = `old-${applied}`
      await newTenant(newBroker(), id)
      await runInDurableObject(tenantStub(id), async (_, { storage }) => {
        const [tenant] = storage.sql.exec('SELECT * FROM tenant').toArray()
        await storage.deleteAll()
        await storage.deleteAlarm()
        migrate(storage, MIGRATIONS.slice(0, applied))
        const columns = Object.keys(tenant ?? {})
        const marks = columns.map(() => '?').join(', ')
        storage.sql.exec(`INSERT INTO tenant (${columns.join(', ')}) VALUES (${marks})`, ...Object.values(tenant ?? {}))
        storage.sql.exec(
          `INSERT INTO turn_keys (intent, uid, state, name, sealed, begun_at, state_at)
         VALUES ('i', 'u', 'active', 'n', 'v1.rk-old.AAAA', 1, 1)`,
        )
        storage.sql.exec("INSERT INTO jobs (kind, key, due) VALUES ('cache', ?, 1)", `tenant:${id}`)
      })
      await abortAllDurableObjects()
      passTime(MINUTE_MS)
      expect(await alarmOf(tenantStub(id))).not.toBeNull()
      for (let runs = 0; (await kinds(id)).length > 0 && runs < 5; runs++) {
        await runJobs(id)
        passTime(MINUTE_MS)
      }
      expect(await kinds(id)).toEqual([])
      expect(await env.CACHE.get(`tenant:${id}`)).not.toBeNull()
    },
  )
})
