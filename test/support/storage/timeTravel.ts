/**
 * Point-in-time recovery for a Tenant under test, which the local runtime does not have: what `keep` saw is what comes back.
 * The three methods of the storage are played; that the object ends, and starts on the old rows, is real.
 */
import { runInDurableObject } from 'cloudflare:test'
import { rowsOf, tenantStub } from './storage.ts'

type Rows = Record<string, Record<string, SqlStorageValue>[]>

export const keep = async (tenant: string): Promise<Rows> => (await rowsOf(tenantStub(tenant))) as Rows // rows of SQLite

/** `then`: what stands in for the moment at which the object would start again. */
export const giveBookmarks = (tenant: string, kept: Rows): Promise<void> =>
  runInDurableObject(tenantStub(tenant), (_, { storage }) => {
    Object.assign(storage, {
      getBookmarkForTime: async (at: number) => `at-${at}`,
      getCurrentBookmark: async () => 'now',
      async onNextSessionRestoreBookmark(_bookmark: string) {
        bringBack(storage, kept)
        await storage.sync()
        return 'now'
      },
    })
  })

function bringBack(storage: DurableObjectStorage, kept: Rows): void {
  storage.transactionSync(() => {
    storage.sql.exec('PRAGMA defer_foreign_keys = on')
    for (const [table, rows] of Object.entries(kept)) {
      storage.sql.exec(`DELETE FROM "${table}"`)
      for (const row of rows) {
        const columns = Object.keys(row)
        const places = columns.map(() => '?').join(', ')
        storage.sql.exec(`INSERT INTO "${table}" (${columns.join(', ')}) VALUES (${places})`, ...Object.values(row))
      }
    }
  })
}
