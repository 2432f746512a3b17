// The schemas of before the first release, and the steps between them. src knows only the last one: its migrations begin there and are
// never edited. Rung 1: the core. Rung 2: with bounds on growth. Rung 3: the first migration of src.
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it } from 'vitest'
import { root, textOf } from '../docs/repository.ts'
import { OBJECTS, tablesOf } from './statements.ts'

const RUNGS = [1, 2, 3] as const
const ladder = 'test/node/storage/ladder'
/** Rows of which a step makes others or none. */
const CHANGED = ['marks', 'ledger_checkpoint', 'api_calls', 'sealed_with', 'jobs', 'reseal_order', 'root_key_counts']

type ObjectName = (typeof OBJECTS)[number]

async function migrations(object: ObjectName): Promise<readonly string[]> {
  const module: unknown = await import(/* @vite-ignore */ path.join(root, `src/${object}/schema.ts`))
  return (module as { MIGRATIONS: readonly string[] }).MIGRATIONS // what a schema.ts exports
}

function databaseOf(statements: readonly string[]): DatabaseSync {
  const database = new DatabaseSync(':memory:')
  for (const sql of statements) database.exec(sql)
  return database
}

/** From a rung to today's schema: the steps between the rungs, then what src has appended. */
async function climb(database: DatabaseSync, object: ObjectName, from: number): Promise<void> {
  for (const rung of RUNGS.filter((each) => each >= from && each < 3))
    database.exec(textOf(`${ladder}/${object}-step-${rung}-${rung + 1}.sql`))
  for (const migration of (await migrations(object)).slice(1)) database.exec(migration)
}

/** What matters of a schema, whatever the order of its columns. */
function shapeOf(database: DatabaseSync) {
  const all = (sql: string) => database.prepare(sql).all()
  return tablesOf(database).map((table) => ({
    table,
    ...all(`SELECT wr, strict FROM pragma_table_list('${table}')`)[0],
    numbered: /AUTOINCREMENT/.test(String(all(`SELECT sql FROM sqlite_master WHERE name = '${table}'`)[0]?.sql)),
    columns: all(`SELECT name, type, "notnull", dflt_value, pk FROM pragma_table_info('${table}') ORDER BY name`),
    indexes: all(
      `SELECT list.name, list."unique", list.origin, list.partial, m.sql,
         (SELECT group_concat(name) FROM pragma_index_info(list.name)) AS columns
       FROM pragma_index_list('${table}') list LEFT JOIN sqlite_master m ON m.name = list.name`,
    )
      .map(({ name, sql, ...rest }) => ({
        ...rest,
        name: String(name).startsWith('sqlite_') ? 'of a constraint' : name,
        sql: sql === null ? null : String(sql).replaceAll(/\s+/g, ' '),
      }))
      .map((index) => JSON.stringify(index))
      .sort(),
  }))
}

/** Two rows in each table, as far as it takes them, with a value of its type in each column. */
function fill(database: DatabaseSync): void {
  for (const table of tablesOf(database)) {
    const columns = database.prepare(`SELECT name, type FROM pragma_table_info('${table}')`).all()
    for (const n of [1, 2]) {
      const values = columns.map(({ name, type }) => (type === 'INTEGER' ? n : `${name}-${n}`))
      const places = columns.map(() => '?').join(', ')
      const names = columns.map(({ name }) => name).join(', ')
      database.prepare(`INSERT OR IGNORE INTO ${table} (${names}) VALUES (${places})`).run(...values)
    }
  }
}

const rowsOf = (database: DatabaseSync): Record<string, unknown> =>
  Object.fromEntries(
    tablesOf(database)
      .filter((table) => !CHANGED.includes(table))
      .map((table) => [table, database.prepare(`SELECT count(*) AS n FROM ${table}`).all()[0]?.n]),
  )

describe.each(OBJECTS)('the schemas of the %s', (object) => {
  it.each(RUNGS)('Rung %i leads to the schema of today, and every row comes with it', async (rung) => {
    const database = databaseOf([textOf(`${ladder}/${object}-schema-${rung}.sql`)])
    fill(database)
    const before = rowsOf(database)
    await climb(database, object, rung)
    expect(shapeOf(database)).toEqual(shapeOf(databaseOf(await migrations(object))))
    expect(rowsOf(database)).toMatchObject(before)
  })

  it('The first migration makes the schema of rung 3: it is not edited any more', async () => {
    const [first = ''] = await migrations(object)
    expect(shapeOf(databaseOf([first]))).toEqual(shapeOf(databaseOf([textOf(`${ladder}/${object}-schema-3.sql`)])))
  })
})

describe('what the steps make of rows', () => {
  const climbed = async (rung: number, ...rows: string[]): Promise<DatabaseSync> => {
    const database = databaseOf([textOf(`${ladder}/tenant-schema-${rung}.sql`), ...rows])
    await climb(database, 'tenant', rung)
    return database
  }
  const all = (database: DatabaseSync, sql: string) =>
    database
      .prepare(sql)
      .all()
      .map((row) => ({ ...row }))

  it('A credential keeps its number and gets it into its id, and no pruned number comes again', async () => {
    const credential = (id: string) =>
      `INSERT INTO credentials (id, username, state, key_uid, sealed, url_list, issued_at, expires_at)
       VALUES ('${id}', '${id}', 'live', 'k', '1.k1.AAAA', 1, 1, 2)`
    const database = await climbed(
      2,
      credential('cr_aaaaaaaaaabbbbbbbbbbbb'),
      credential('cr_ccccccccccdddddddddddd'),
      'DELETE FROM credentials WHERE seq = 2',
    )
    expect(all(database, 'SELECT seq, id, username, sealed FROM credentials')).toEqual([
      { seq: 1, id: 'cr_aaaaaaaaaa000000000001', username: 'cr_aaaaaaaaaabbbbbbbbbbbb', sealed: null },
    ])
    expect(all(database, 'SELECT seq FROM ledger_checkpoint')).toEqual([{ seq: 2 }])
  })

  it('Root keys that sealed secrets before uses were tracked are noted, and the report to the Account is ordered', () => {
    // The step is part of rung 1; it is played on the tables that it reads.
    const key = (intent: string, sealed: string) =>
      `INSERT INTO turn_keys (intent, state, name, sealed, begun_at, state_at) VALUES ('${intent}', 'active', '', ${sealed}, 1, 1)`
    const database = databaseOf([
      textOf(`${ladder}/tenant-schema-1.sql`),
      key('a', "'1.k1.AAAA'"),
      key('b', "'1.long-key-id-0.BBBB'"),
      key('c', 'NULL'),
      `INSERT INTO credentials (id, username, state, key_uid, sealed, url_list, issued_at, expires_at)
       VALUES ('cr', 'u', 'live', 'k', '1.K1.CCCC', 1, 1, 2)`,
      textOf(`${ladder}/tenant-step-0-1.sql`),
    ])
    expect(all(database, 'SELECT root_key FROM sealed_with ORDER BY root_key')).toEqual(
      ['K1', 'k1', 'long-key-id-0'].map((root_key) => ({ root_key })),
    )
    expect(all(database, 'SELECT kind FROM jobs')).toEqual([{ kind: 'mirror' }])
  })
})
