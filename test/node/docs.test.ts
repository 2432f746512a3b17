// The documents say what the code says. Each test names the document to correct, or the code that went without it.
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it } from 'vitest'
import { DEFAULT_POLICY } from '../../src/contract/policy.ts'
import { ROUTES, type Route } from '../../src/contract/routes.ts'
import { SCOPES } from '../../src/contract/scopes.ts'
import { ERRORS } from '../../src/errors.ts'
import { filesLike, linksOf, matches, packageJson, root, sectionOf, tableOf, textOf } from './repository.ts'

const sources = filesLike('src/**/*.ts')
const sourceText = sources.map(textOf).join('\n')
const unique = (list: string[]) => [...new Set(list)].sort()
const firstCells = (rows: string[][]) => rows.map(([cell = '']) => cell).sort()

describe('docs/errors.md', () => {
  const document = textOf('docs/errors.md')
  const documented = matches(document, /^### (.+)$/gm)

  it('has a section for every code, and for no other', () => {
    expect(documented).toEqual(Object.keys(ERRORS))
  })

  it.each(Object.entries(ERRORS))('tells status, number, cause, cure and repeat of %s', (code, row) => {
    const section = sectionOf(document, code)
    expect(section).toContain(`\n${row.status} · Cloudflare code ${row.cloudflareCode}\n`)
    expect(matches(section, /^- \*\*(Cause|Cure|Repeat):\*\* \S/gm)).toEqual(['Cause', 'Cure', 'Repeat'])
  })

  it('lists each code under its status', () => {
    for (const [status = '', codes = ''] of tableOf(document, 'status')) {
      const expected = Object.entries(ERRORS).filter(([, row]) => row.status === Number(status))
      expect(matches(codes, /\[(\w+)\]/g)).toEqual(expected.map(([code]) => code))
    }
    expect(linksOf(document).map((link) => link.replace(/^#/, ''))).toEqual(expect.arrayContaining(Object.keys(ERRORS)))
  })

  it('marks as not answered yet exactly what no part of src answers', () => {
    const elsewhere = sources
      .filter((file) => file !== 'src/errors.ts')
      .map(textOf)
      .join('\n')
    const silent = Object.keys(ERRORS).filter((code) => !elsewhere.includes(`'${code}'`))
    const marked = documented.filter((code) => sectionOf(document, code).includes('**Not answered yet.**'))
    expect(marked).toEqual(silent)
  })

  it('is what the type of a problem links to', () => {
    expect(matches(sourceText, /PROBLEM_TYPE = '(.+)'/g)).toEqual([expect.stringMatching(/\/docs\/errors\.md#$/)])
  })
})

describe('docs/storage.md', () => {
  const document = textOf('docs/storage.md')
  const shared = sectionOf(document, 'Tables of both')

  it.each([
    ['Tenant', 'src/tenant/schema.ts'],
    ['Account', 'src/account/schema.ts'],
  ])('has every table and column of the %s', async (object, file) => {
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

  it('has every audit action of src, and its object', () => {
    const inFolder = (folder: string) =>
      matches(
        filesLike(`src/${folder}/*.ts`).map(textOf).join('\n'),
        /'((?:tenant|api_token|turn_key|account)\.[a-z_]+)'/g,
      )
    const used = [
      ...inFolder('account').map((action) => `${action} Account`),
      ...inFolder('tenant').map((action) => `${action} Tenant`),
    ]
    const documented = tableOf(document, 'action').map(([action, object]) => `${action} ${object}`)
    expect(unique(documented)).toEqual(unique(used))
  })

  it('has every kind of job', () => {
    const documented = firstCells(tableOf(document, 'kind'))
    expect(documented).toEqual(unique(matches(sourceText, /_JOB = '([a-z-]+)'/g)))
  })

  it('has every KV key with its fields', async () => {
    const entries = (await load('src/cache/entries.ts')) as Entries // what it exports
    const expected = [
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

  it('has every purpose and every idempotency scope', () => {
    const purposes = matches(/type Purpose =(.+)/.exec(sourceText)?.[1] ?? '', /'([a-z-]+)'/g)
    const scopes = matches(sourceText, /\b(?:CREATE_)?ROUTE = '([a-z-]+)'/g)
    expect(purposes.length).toBeGreaterThan(0)
    expect(scopes.length).toBeGreaterThan(0)
    for (const name of [...purposes, ...scopes]) expect(document).toContain(`\`${name}\``)
  })
})

describe('docs/configuration.md', () => {
  const document = textOf('docs/configuration.md')
  const schema = /const Environment = z\.object\(\{\n([\s\S]*?)^\}\)/m.exec(textOf('src/env.ts'))?.[1] ?? ''
  const variables = matches(schema, /^ {2}([A-Z_]+):/gm)

  it('names every variable, secret and binding, and no other', () => {
    const documented = ['Secrets', 'Variables', 'Bindings'].flatMap((heading) =>
      firstCells(tableOf(sectionOf(document, heading), 'name')),
    )
    expect(documented.sort()).toEqual([...variables].sort())
  })

  it('tells the defaults of env.ts and the forms it checks', () => {
    for (const fallback of matches(schema, /(?:default|upstreamUrl)\('([^']+)'\)/g))
      expect(document).toContain(fallback)
    for (const form of matches(schema, /regex\(\/(.+?)\/\)/g)) expect(document).toContain(`\`${form}\``)
  })

  it('has every rate limiter as wrangler.toml sets it', () => {
    const text = textOf('wrangler.toml')
    const limiters = [...text.matchAll(/name = "(RATE_\w+)"\n.*\nsimple = \{ limit = (\d+), period = (\d+) \}/g)]
    expect(limiters).toHaveLength(3)
    const rows = tableOf(sectionOf(document, 'Bindings'), 'name')
    for (const [, name, limit, period] of limiters) {
      const written = `rate limiter, ${Number(limit).toLocaleString('en-US')} in ${period} s`
      expect(rows.find(([cell]) => cell === name)?.[1]).toBe(written)
    }
  })

  it('has every setting of a policy with its default', () => {
    const documented = tableOf(document, 'setting').map(([name, fallback = '']) => [
      name,
      JSON.parse(fallback) as unknown,
    ])
    expect(Object.fromEntries(documented)).toEqual(DEFAULT_POLICY)
  })
})

describe('README.md', () => {
  const document = textOf('README.md')

  it('lists every route with who may use it', () => {
    const listed = tableOf(document, 'method and path').map(([route, who = '']) => `${route} ${who.split(';')[0]}`)
    const expected = Object.values(ROUTES).map((route) => `${route.method} ${pathOf(route)} ${whoOf(route)}`)
    expect(listed.sort()).toEqual(expected.sort())
  })

  it('lists every scope', () => {
    for (const scope of SCOPES) expect(document).toContain(`\`${scope}\``)
  })

  it('names only scripts that package.json has', () => {
    const { scripts } = packageJson()
    for (const file of ['README.md', 'CONTRIBUTING.md']) {
      const named = matches(textOf(file), /npm run (?:--silent )?([a-z:]+)/g)
      expect(Object.keys(scripts)).toEqual(expect.arrayContaining(named))
    }
    expect(scripts.test).toBeDefined()
  })

  it('names only variables that there are', () => {
    const named = firstCells(tableOf(sectionOf(document, 'Configuration'), 'name'))
    expect(firstCells(['Secrets', 'Variables'].flatMap(configured))).toEqual(expect.arrayContaining(named))
  })
})

const configured = (heading: string): string[][] => tableOf(sectionOf(textOf('docs/configuration.md'), heading), 'name')

const pathOf = ({ path }: Route) => path.replaceAll(/:([a-z_]+)/g, '{$1}')

function whoOf({ access }: Route): string {
  if (access === 'public') return 'anyone'
  return access === 'admin' ? 'admin' : `scope ${access.scope}`
}

/** Modules with types of workerd in them are loaded past this project's type check. */
const load = (file: string): Promise<unknown> => import(/* @vite-ignore */ path.join(root, file))

interface Entries {
  FORMAT: number
  snapshotKey: (tenant: string) => string
  turnKeyEntryKey: (tenant: string, uid: string) => string
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
