/**
 * Schema versions of an object's SQLite database. Migrations go forward only, and each leaves a database that the
 * previous release can read. (`PRAGMA user_version` is refused in Durable Objects, hence a table.)
 */

/** Whether this object was ever set up. Reads only: asking about a tenant that never was stores nothing. */
export const isSetUp = (sql: SqlStorage): boolean =>
  sql.exec("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = '_schema'").toArray().length > 0

/** Applies what is missing, all or nothing. `migrations[n]` leads from version n to n + 1 and is never edited. */
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
