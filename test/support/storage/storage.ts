/** All that is kept anywhere: which objects exist, every row of theirs, every entry in KV; and a tenant's jobs, run by hand. */
import { listDurableObjectIds, runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { jobsEnded } from './jobsUnderWay.ts'

export const tenantStub = (id: string) => env.TENANTS.get(env.TENANTS.idFromName(id))

/** The ids of all tenants' objects that exist. */
export const tenantObjects = async (): Promise<string[]> => (await listDurableObjectIds(env.TENANTS)).map(String).sort()

/** Runs a tenant's jobs that are due by the Worker's clock, and waits for all that are under way, also those of its own alarm. */
export const runJobs = (tenant: string): Promise<boolean> => runJobsOf(tenantStub(tenant))

/** The same for any object. Returns whether an alarm was set. */
export async function runJobsOf(stub: DurableObjectStub): Promise<boolean> {
  const ran = await runDurableObjectAlarm(stub)
  await runInDurableObject(stub, (object: DurableObject) => jobsEnded(object))
  return ran
}

/** Every row of every table of an object. */
export const rowsOf = (stub: DurableObjectStub): Promise<Record<string, unknown[]>> =>
  runInDurableObject(stub, (_object: DurableObject, { storage: { sql } }) => {
    const tables = sql.exec<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table'").toArray()
    // The runtime's own tables are closed to everybody.
    const own = tables.filter(({ name }) => !name.startsWith('_cf_'))
    return Object.fromEntries(own.map(({ name }) => [name, sql.exec(`SELECT * FROM "${name}"`).toArray()]))
  })

const bytesAsHex = (_name: string, value: unknown) =>
  value instanceof ArrayBuffer || value instanceof Uint8Array ? new Uint8Array(value).toHex() : value

/** Everything the objects and KV keep, except one table, as one text; bytes as hex. */
export async function everythingStored(without?: string): Promise<string> {
  const stored: unknown[] = []
  for (const namespace of [env.TENANTS, env.ACCOUNT] as DurableObjectNamespace[]) {
    for (const id of await listDurableObjectIds(namespace)) {
      const tables = Object.entries(await rowsOf(namespace.get(id)))
      stored.push(tables.filter(([table]) => table !== without))
    }
  }
  const { keys } = await env.CACHE.list()
  for (const { name, metadata } of keys) stored.push(name, metadata, await env.CACHE.get(name))
  return JSON.stringify(stored, bytesAsHex)
}
