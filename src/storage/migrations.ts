/**
 * Schema migrations of an object's SQLite database, forward only. After each, the previous release can still read the
 * database. The version is in a table, because Durable Objects refuse `PRAGMA user_version`.
 */

/** Whether this object was ever set up. Only reads, so that a call for an unknown tenant stores nothing. */
export const isSetUp = (sql: SqlStorage): boolean =>
  sql.exec("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = '_schema'").toArray().length > 0

/** Applies the missing migrations in one transaction. `migrations[n]` leads from version n to n + 1; never edit one. */
export function migrate(storage: DurableObjectStorage, migrations: readonly string[]): void {
  storage.transactionSync(() => {
    const { sql } = storage
    sql.exec('CREATE TABLE IF NOT EXISTS _schema (version INTEGER NOT NULL)')
    const [row] = sql.exec<{ version: number }>('SELECT version FROM _schema').toArray()
    if (!row) sql.exec('INSERT INTO _schema (version) VALUES (0)')
    const version = row?.version ?? 0
    for (const migration of migrations.slice(version)) sql.exec(migration)
    if (version < migrations.length) sql.exec('UPDATE _schema SET version = ?', migrations.length)
  })
}
