// Every SQL statement of src, found in its text, with the database it runs on. Reads only, judges nothing.
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { filesLike, matches, root, textOf } from '../docs/repository.ts'

export const OBJECTS = ['tenant', 'account'] as const
type ObjectName = (typeof OBJECTS)[number]

export interface Statement {
  readonly file: string
  readonly object: ObjectName
  readonly sql: string
}

/** What a part of a statement can be, by file and by the expression in the source. */
export type Parts = Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>

const isMigration = (file: string) => /\/(?:schema|migrations)\.ts$/.test(file)
const files = filesLike('src/{tenant,account,storage}/**/*.ts').filter((file) => !isMigration(file))
const CALL = /\bsql\s*\.exec\b/g

/** Constants of src that hold a part of a statement, by their names: they are put in where a statement names them. */
const CONSTANTS: Readonly<Record<string, readonly string[]>> = Object.fromEntries(
  files.flatMap((file) =>
    [...textOf(file).matchAll(/^(?:export )?const ([A-Z_]+) =\s+(?=['"`])/gm)].map(
      ({ 0: head, 1: name = '', index }) => [name, [literalAt(textOf(file), index + head.length) ?? '']],
    ),
  ),
)

/**
 * Each call of `sql.exec` in src: how many there are, the statements of those whose text is written there, the texts of which a
 * part is not known, and the literals of SQL that stand elsewhere.
 */
export function statementsOf(parts: Parts) {
  const statements: Statement[] = []
  const unread: string[] = []
  const stray: string[] = []
  let calls = 0
  for (const file of files) {
    const text = textOf(file)
    const seen = new Set<number>()
    for (const { index } of text.matchAll(CALL)) {
      calls++
      const at = argumentAt(text, index + text.slice(index).indexOf('exec') + 4)
      const literal = literalAt(text, at)
      seen.add(at)
      const expanded = literal === undefined ? undefined : expand(literal, { ...CONSTANTS, ...parts[file] })
      if (!expanded) unread.push(`${file}: ${literal ?? text.slice(index, index + 60)}`)
      for (const object of objectsOf(file)) {
        for (const sql of expanded ?? []) statements.push({ file, object, sql: sql.replaceAll(/\s+/g, ' ').trim() })
      }
    }
    for (const { index, 0: found } of text.matchAll(
      /(?<!const [A-Z_]+ = )(['"`])\s*(?:SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH) /g,
    ))
      if (!seen.has(index)) stray.push(`${file}: ${found}`)
  }
  return { calls, statements, unread, stray }
}

const objectsOf = (file: string): readonly ObjectName[] => {
  const own = OBJECTS.find((object) => file.startsWith(`src/${object}/`))
  return own ? [own] : OBJECTS
}

/** Where the first argument begins, behind type parameters, spaces and comments. */
function argumentAt(text: string, from: number): number {
  let at = from
  for (let depth = 0; ; at++) {
    const character = text[at]
    if (character === '<') depth++
    else if (character === '>') depth--
    else if (character === '(' && depth === 0) break
  }
  return at + 1 + (/^(?:\s|\/\/.*\n)*/.exec(text.slice(at + 1))?.[0].length ?? 0)
}

/** The text of a string literal; `undefined`: there is none. */
function literalAt(text: string, at: number): string | undefined {
  const quote = text[at] ?? ''
  if (!`'"\``.includes(quote)) return
  return text.slice(at + 1, text.indexOf(quote, at + 1))
}

/** Every way in which the parts can be put in; `undefined`: a part is not known. */
function expand(literal: string, parts: Readonly<Record<string, readonly string[]>>): string[] | undefined {
  const [whole, expression = ''] = /\$\{(.+?)\}/.exec(literal) ?? []
  if (whole === undefined) return [literal]
  const values = parts[expression]
  if (!values) return
  const expanded = values.map((value) =>
    expand(
      literal.replaceAll(whole, () => value),
      parts,
    ),
  )
  return expanded.every((list) => list !== undefined) ? expanded.flat() : undefined
}

/** The object's database as its migrations leave it, without rows and statistics, as in a Durable Object. */
export async function migrated(object: ObjectName): Promise<DatabaseSync> {
  const module: unknown = await import(/* @vite-ignore */ path.join(root, `src/${object}/schema.ts`))
  const { MIGRATIONS } = module as { MIGRATIONS: readonly string[] } // what a schema.ts exports
  const database = new DatabaseSync(':memory:')
  const [schemaTable = ''] = matches(textOf('src/storage/migrations.ts'), /(CREATE TABLE IF NOT EXISTS _schema [^']+)/g)
  for (const sql of [schemaTable, ...MIGRATIONS]) database.exec(sql)
  return database
}

export const tablesOf = (database: DatabaseSync): string[] =>
  database
    .prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name")
    .all()
    .map(({ name }) => String(name))

/** The tables that a statement reads from one end to the other, by SQLite's own plan. Aliases are resolved. */
export function scannedTables(database: DatabaseSync, sql: string): string[] {
  return tablesIn(database, sql, /^SCAN (\w+)/gm)
}

/**
 * The tables of which a statement without LIMIT searches a range with one end: every row from a `seq` or a time on. Where most
 * rows are in that range, such as credentials that have not expired, the search is a scan by another name.
 */
export const openRanges = (database: DatabaseSync, sql: string): string[] =>
  / LIMIT /.test(sql) ? [] : tablesIn(database, sql, /^SEARCH (\w+) .*\((?:rowid|expires_at)[<>]\?\)/gm)

function tablesIn(database: DatabaseSync, sql: string, pattern: RegExp): string[] {
  const tables = tablesOf(database)
  const plan = database.prepare(`EXPLAIN QUERY PLAN ${sql}`).all()
  return matches(plan.map(({ detail }) => String(detail)).join('\n'), pattern).flatMap((name) => {
    if (tables.includes(name)) return [name]
    const [aliased] = matches(sql, new RegExp(`(\\w+) (?:AS )?${name}\\b`, 'g')).filter((table) =>
      tables.includes(table),
    )
    return aliased === undefined ? [] : [aliased]
  })
}
