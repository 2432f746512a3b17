/**
 * Schema migrations of an object's SQLite database, forward only. After each, the previous release can still read the
 * database. The version is in a table, because Durable Objects refuse `PRAGMA user_version`.
 */

/** Whether this object was ever set up. Only reads, so that a call for an unknown tenant stores nothing. */
export const isSetUp = (sql: SqlStorage): boolean =>
  sql.exec("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = '_schema'").toArray().length > 0

/** The version that the first migration leads to. Lower ones were schemas of the time before the first release. */
const FIRST_VERSION = 100

/**
 * Applies the missing migrations in one transaction. `migrations[n]` leads to version `FIRST_VERSION` + n; never edit one. Throws on
 * storage of a version that no migration leads on from.
 */
export function migrate(storage: DurableObjectStorage, migrations: readonly string[]): void {
  storage.transactionSync(() => {
    const { sql } = storage
    sql.exec('CREATE TABLE IF NOT EXISTS _schema (version INTEGER NOT NULL)')
    const [row] = sql.exec<{ version: number }>('SELECT version FROM _schema').toArray()
    if (!row) sql.exec('INSERT INTO _schema (version) VALUES (0)')
    const version = row?.version ?? 0
    if (version > 0 && version < FIRST_VERSION)
      throw new Error(
        `The storage has schema ${version}, of before the first release. Delete it: no migration reads it.`,
      )
    const done = version === 0 ? 0 : version - FIRST_VERSION + 1
    for (const migration of migrations.slice(done)) sql.exec(migration)
    if (done < migrations.length) sql.exec('UPDATE _schema SET version = ?', FIRST_VERSION + migrations.length - 1)
  })
}
