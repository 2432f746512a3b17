/** The rows of a tenant's object and of the Account, and a database that refuses to be written. */
import { runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'

type Rows = Record<string, SqlStorageValue>[]

const exec = (stub: DurableObjectStub, sql: string): Promise<Rows> =>
  runInDurableObject(stub, (_, state) => state.storage.sql.exec(sql).toArray())

export const tenantStub = (id: string) => env.TENANTS.get(env.TENANTS.idFromName(id))
export const accountStub = () => env.ACCOUNT.get(env.ACCOUNT.idFromName('account'))

export const tenantSql = (id: string, sql: string): Promise<Rows> => exec(tenantStub(id), sql)
export const accountSql = (sql: string): Promise<Rows> => exec(accountStub(), sql)

export const keyRows = (id: string): Promise<Rows> => tenantSql(id, 'SELECT * FROM turn_keys ORDER BY seq')

/** Unfinished work, except what every tenant has: its report to the Account after a change, and the pruning job. */
export const jobRows = (id: string): Promise<Rows> =>
  tenantSql(id, "SELECT kind, key, due, attempt FROM jobs WHERE kind NOT IN ('mirror', 'prune') ORDER BY kind, key")

/** Makes every write of such audit rows fail, as a broken database would, until it is repaired. */
export async function breakAudit(id: string, when = '1'): Promise<void> {
  await tenantSql(
    id,
    `CREATE TRIGGER broken BEFORE INSERT ON audit_events WHEN ${when} BEGIN SELECT RAISE(ABORT, 'broken'); END`,
  )
}
export const repairAudit = (id: string): Promise<Rows> => tenantSql(id, 'DROP TRIGGER broken')
