// The SQLite file of a tenant's object, while workerd does not run: copies of a row that a mint left, and its size.
import { readdirSync } from 'node:fs'
import path from 'node:path'
import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import type { Runtime } from '../runtime/workerd.ts'

/** Opens the file of the tenant. Throws when there is none. The caller closes it. */
export function openTenant(runtime: Runtime, tenant: string): DatabaseSync {
  const folder = path.join(runtime.objectsFolder, 'bench-Tenant')
  for (const name of readdirSync(folder).filter((file) => file.endsWith('.sqlite') && file !== 'metadata.sqlite')) {
    const database = new DatabaseSync(path.join(folder, name))
    if (hasTable(database, 'tenant') && database.prepare('SELECT 1 FROM tenant WHERE id = ?').get(tenant))
      return database
    database.close()
  }
  throw new Error(`no object of the tenant ${tenant}`)
}

const hasTable = (database: DatabaseSync, name: string): boolean =>
  database.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?").get(name) !== undefined

/** Bytes of the whole file, its indexes and free pages included. */
export function sizeBytes(runtime: Runtime, tenant: string): number {
  const database = openTenant(runtime, tenant)
  try {
    database.exec('PRAGMA wal_checkpoint(TRUNCATE)')
    const read = (pragma: string) => Number(Object.values(database.prepare(`PRAGMA ${pragma}`).get() ?? {})[0])
    return read('page_count') * read('page_size')
  } finally {
    database.close()
  }
}

export interface Fill {
  readonly live: number
  /** Live rows end within this time, evenly. */
  readonly withinMs: number
  /** Rows that ended a while ago, which the object is to delete: so it has a reason to tidy up. */
  readonly expired: number
}

/**
 * Copies one row of the ledger. Whatever the columns are: what is unique gets a number, times and subject are spread, the
 * rest stays as the mint wrote it. All jobs become due, so the object runs them at its next start.
 */
export function fillLedger(runtime: Runtime, tenant: string, { live, withinMs, expired }: Fill): void {
  const database = openTenant(runtime, tenant)
  try {
    const [sample] = database.prepare('SELECT * FROM credentials ORDER BY seq DESC LIMIT 1').all()
    if (!sample) throw new Error(`no credential of the tenant ${tenant} to copy`)
    const unique = uniqueColumns(database)
    const columns = Object.keys(sample)
    const now = Date.now()
    const seq = Number(sample.seq)
    const [spread, ended] = [withinMs / Math.max(live, 1), now - 180_000]
    const ofRow = (column: string, n: number): SQLInputValue => {
      if (column === 'seq') return seq + 1 + n
      if (column === 'subject_id') return `su_copied${n % 9_973}`
      if (column === 'issued_at') return ended
      if (column === 'expires_at') return n < expired ? ended : Math.round(now + 600_000 + (n - expired) * spread)
      if (unique.has(column)) return `${String(sample[column]).slice(0, 12)}${n}`
      return sample[column] ?? null
    }
    const insert = database.prepare(
      `INSERT INTO credentials (${columns.join(', ')}) VALUES (${columns.map(() => '?').join(', ')})`,
    )
    database.exec('BEGIN')
    for (let n = 0; n < expired + live; n++) insert.run(...columns.map((column) => ofRow(column, n)))
    database.exec('UPDATE jobs SET due = 1')
    database.exec('COMMIT')
    database.exec('PRAGMA wal_checkpoint(TRUNCATE)')
  } finally {
    database.close()
  }
}

function uniqueColumns(database: DatabaseSync): Set<string> {
  const indexes = database.prepare('SELECT name FROM pragma_index_list(\'credentials\') WHERE "unique" = 1').all()
  return new Set(
    indexes.flatMap(({ name }) =>
      database
        .prepare('SELECT name FROM pragma_index_info(?)')
        .all(String(name))
        .map((column) => String(column.name)),
    ),
  )
}
