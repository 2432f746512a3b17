// docs/storage.md says what SQLite and the code say: tables, columns, jobs, audit actions.
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it } from 'vitest'
import {
  filesLike,
  firstCells,
  matches,
  root,
  sectionOf,
  sourceText,
  stringsOf,
  tableOf,
  textOf,
  unique,
} from './repository.ts'

/** What stands in the files of an object's folder, with the object's name behind it. */
const inObjects = (pattern: RegExp) =>
  unique(
    ['Account', 'Tenant'].flatMap((object) =>
      matches(filesLike(`src/${object.toLowerCase()}/**/*.ts`).map(textOf).join('\n'), pattern).map(
        (found) => `${found} ${object}`,
      ),
    ),
  )

describe('docs/storage.md', () => {
  const document = textOf('docs/storage.md')
  const shared = sectionOf(document, 'Tables of both')

  it.each([
    ['Tenant', 'src/tenant/schema.ts'],
    ['Account', 'src/account/schema.ts'],
  ])('Docs/storage.md has every table and column of the %s', async (object, file) => {
    const tables = await tablesOf(file)
    const own = sectionOf(document, `Tables of the ${object}`)
    const documented = Object.fromEntries(
      matches(own + shared, /^### (\w+)$/gm).map((name) => [
        name,
        firstCells(tableOf(sectionOf(document, name), 'column')),
      ]),
    )
    expect(documented).toEqual(tables)
  })

  it('Docs/storage.md has every audit action of src, and its object', () => {
    const documented = tableOf(document, 'action').map(([action, object]) => `${action} ${object}`)
    const used = inObjects(/'([a-z_]+\.[a-z_]+)'/g)
    expect(used.length).toBeGreaterThan(20)
    // What storage/ writes, both objects write.
    const shared = matches(filesLike('src/storage/**/*.ts').map(textOf).join('\n'), /action: '([a-z_]+\.[a-z_]+)'/g)
    const ofBoth = shared.flatMap((action) => [`${action} Account`, `${action} Tenant`])
    expect(unique(documented)).toEqual(unique([...used, ...ofBoth]))
    // The union has no action that no object writes.
    const union = matches(textOf('src/contract/resources/auditEvents.ts'), /^ {2}\| '(.+)'$/gm)
    expect(unique(union)).toEqual(unique([...shared, ...used.map((action) => action.split(' ')[0] ?? '')]))
  })

  it('Docs/storage.md has every kind of job, and its object', () => {
    const documented = tableOf(document, 'kind').map(([kind, object]) => `${kind} ${object}`)
    expect(unique(documented)).toEqual(inObjects(/_JOB = '([a-z-]+)'/g))
  })

  it('Docs/storage.md has every outcome of an audit row, and every state of a credential', () => {
    const outcomes = stringsOf(/readonly outcome: ('.+)/)
    const states = stringsOf(/type CredentialState = (.+)/)
    expect([outcomes.length, states.length]).toEqual([5, 3])
    const tell = (table: string, column: string) =>
      tableOf(sectionOf(document, table), 'column').find(([name]) => name === column)?.[1] ?? ''
    for (const outcome of outcomes) expect(tell('audit_events', 'outcome')).toContain(outcome)
    for (const state of states) expect(tell('credentials', 'state')).toContain(state)
  })

  it('Docs/storage.md has every KV key with its fields', async () => {
    const entries = (await load('src/cache/entries.ts')) as Entries // what it exports
    const expected = [
      [entries.CHECK_KEYS_KEY, entries.CheckKeysEntry.shape],
      [entries.snapshotKey('{tenant}'), entries.TenantSnapshot.shape],
      [entries.turnKeyEntryKey('{tenant}', '{uid}'), entries.TurnKeyEntry.shape],
    ] as const
    const rows = tableOf(sectionOf(document, 'KV'), 'key')
    expect(firstCells(rows)).toEqual(expected.map(([key]) => key).sort())
    for (const [key, shape] of expected) {
      const fields = (rows.find(([name]) => name === key)?.[2] ?? '').replaceAll(/\(.*?\)/g, '')
      expect(fields.split(',').map((field) => field.trim())).toEqual(Object.keys(shape))
    }
    expect(document).toContain(`\`v\` is the format, ${entries.FORMAT}.`)
  })

  it('Docs/storage.md has every purpose and every idempotency scope', () => {
    const purposes = [...stringsOf(/type Purpose = (.+)/), ...stringsOf(/type MacPurpose = (.+)/)]
    const scopes = matches(sourceText, /\b(?:CREATE_)?ROUTE = '([a-z-]+)'/g)
    expect([purposes.length, scopes.length]).toEqual([8, 5])
    for (const name of [...purposes, ...scopes]) expect(document).toContain(`\`${name}\``)
  })

  it('Docs/storage.md says of every table what bounds it', async () => {
    const tables = [
      ...Object.keys(await tablesOf('src/tenant/schema.ts')),
      ...Object.keys(await tablesOf('src/account/schema.ts')),
    ]
    const bounded = tableOf(sectionOf(document, 'Growth'), 'table').flatMap(([names = '']) =>
      names.split(', ').map((name) => name.replace(/ of .+/, '')),
    )
    expect(unique(bounded)).toEqual(unique(tables))
    // A number, a setting, or one row for each of something else that is bounded.
    for (const [names, bound = ''] of tableOf(sectionOf(document, 'Growth'), 'table'))
      expect(bound, names).toMatch(/\d|\bone (?:small )?row\b|max[A-Z]\w+|auditRetention/)
  })
})

/** Modules with types of workerd in them are loaded past this project's type check. */
const load = (file: string): Promise<unknown> => import(/* @vite-ignore */ path.join(root, file))

interface Entries {
  FORMAT: number
  snapshotKey: (tenant: string) => string
  turnKeyEntryKey: (tenant: string, uid: string) => string
  CHECK_KEYS_KEY: string
  CheckKeysEntry: { shape: object }
  TenantSnapshot: { shape: object }
  TurnKeyEntry: { shape: object }
}

/** Every table with its columns, as SQLite itself reads the migrations. */
async function tablesOf(schemaFile: string): Promise<Record<string, string[]>> {
  const { MIGRATIONS } = (await load(schemaFile)) as { MIGRATIONS: readonly string[] } // what a schema.ts exports
  const database = new DatabaseSync(':memory:')
  const [schemaTable = ''] = matches(textOf('src/storage/migrations.ts'), /(CREATE TABLE IF NOT EXISTS _schema [^']+)/g)
  for (const sql of [schemaTable, ...MIGRATIONS]) database.exec(sql)
  const named = (sql: string) =>
    database
      .prepare(sql)
      .all()
      .map(({ name }) => String(name))
  const tables = named("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
  return Object.fromEntries(
    tables.map((table) => [table, named(`SELECT name FROM pragma_table_info('${table}')`).sort()]),
  )
}
