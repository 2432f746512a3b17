// One file writes each table: who reads a table's file has seen every way in which its rows change.
import { describe, expect, it } from 'vitest'
import { filesLike, matches, textOf, unique } from './repository.ts'

const tablesOf = (files: readonly string[]) =>
  matches(files.map(textOf).join('\n'), /CREATE TABLE (?:IF NOT EXISTS )?([a-z_]+)/g)

/** Where a table is created is no writer of its rows; nor is a migration that fills it. */
const isSchema = (file: string) => /\/(?:schema|migrations)\.ts$/.test(file)
const sourceFiles = filesLike('src/**/*.ts').filter((file) => !isSchema(file))

const OBJECTS = [
  { object: 'Tenant', schema: 'src/tenant/schema.ts', folder: 'src/tenant/' },
  { object: 'Account', schema: 'src/account/schema.ts', folder: 'src/account/' },
] as const
const SHARED = tablesOf(filesLike('src/storage/*.ts').filter((file) => !isSchema(file)))

const writes = (file: string, table: string): boolean =>
  new RegExp(`(?:INSERT INTO|UPDATE|DELETE FROM)\\s+${table}\\b`).test(textOf(file))

describe('table owners', () => {
  it('Both objects have their tables, and share those of storage/', () => {
    expect(OBJECTS.map(({ schema }) => new Set(tablesOf([schema])).size)).toEqual([19, 15])
    expect(unique(SHARED)).toEqual(['audit_events', 'idempotency', 'jobs'])
  })

  it.each(OBJECTS)('Every table of the $object is written by exactly one file of it', ({ schema, folder }) => {
    const owners = tablesOf([schema]).map((table) => {
      const writers = sourceFiles.filter((file) => writes(file, table))
      return {
        table,
        writers: writers.filter((file) => file.startsWith(folder)),
        strangers: writers.filter((file) => !file.startsWith(folder)),
      }
    })
    expect(owners.filter(({ writers, strangers }) => writers.length !== 1 || strangers.length > 0)).toEqual([])
  })

  it('The tables that both objects have are written by storage/ only', () => {
    const strangers = SHARED.flatMap((table) => sourceFiles.filter((file) => writes(file, table)))
    expect(unique(strangers.map((file) => file.split('/').slice(0, 2).join('/')))).toEqual(['src/storage'])
  })

  it('Table owners SQL about credentials stands in tenant/ledger/ only', () => {
    const named = sourceFiles.filter((file) => /(?:FROM|INTO|UPDATE|JOIN) credentials\b/.test(textOf(file)))
    expect(named.length).toBeGreaterThan(3)
    expect(named.filter((file) => !file.startsWith('src/tenant/ledger/'))).toEqual([])
  })

  it('Every statement about live credentials leaves out those that a bulk revocation has taken back', () => {
    const statements = sourceFiles.flatMap((file) =>
      matches(textOf(file), /[`'"]((?:SELECT|UPDATE)[^`"]*?state = 'live'[^`"]*)[`"]/g).map((text) => ({ file, text })),
    )
    // The exceptions ask `isTakenBack` of each row that they have read.
    const bare = statements.filter(({ text }) => !text.includes('NOT_TAKEN_BACK'))
    expect(statements).toHaveLength(4)
    expect(bare.map(({ file }) => file)).toEqual(['src/tenant/ledger/listing.ts', 'src/tenant/ledger/reusable.ts'])
    for (const { file } of bare) expect(textOf(file)).toContain('isTakenBack(bulk, row)')
  })

  it('No statement takes the name of the table it writes from a variable', () => {
    const dynamic = sourceFiles.filter((file) => /(?:INSERT INTO|UPDATE|DELETE FROM)\s+\$\{/.test(textOf(file)))
    expect(dynamic).toEqual([])
  })
})
