// G15: no statement of src reads a table that grows from one end to the other. Asked of SQLite itself, on the migrated schemas.
import path from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { describe, expect, it } from 'vitest'
import { root, unique } from '../docs/repository.ts'
import { migrated, OBJECTS, openRanges, type Parts, scannedTables, statementsOf, tablesOf } from './statements.ts'

const load = (file: string): Promise<unknown> => import(/* @vite-ignore */ path.join(root, file))
const { UNFINISHED, VISIBLE } = (await load('src/tenant/turnKeys/states.ts')) as Record<string, readonly string[]> // its lists
const listOf = (states: readonly string[] = []) => [states.map((state) => `'${state}'`).join(', ')]
/** What stands for each part of a statement that is put together. */
const PARTS: Parts = {
  'src/storage/auditTrail.ts': { hit: ['actor', 'action', 'subject_id'].map((column) => `${column} IS ?`) },
  'src/tenant/core/banRows.ts': { column: ['subject_id', 'token_id'] },
  'src/tenant/ledger/revocationRows.ts': { as: ['revoked', 'expired'] },
  'src/tenant/ledger/usage.ts': { what: ['issued', 'reused', 'revoked', 'expired'] },
  'src/tenant/lifecycle/reseal.ts': { 'table.cursor': ['key_seq', 'credential_seq'] },
  'src/tenant/turnKeys/rows.ts': { visible: listOf(VISIBLE), unfinished: listOf(UNFINISHED) },
  'src/tenant/turnKeys/writes.ts': { assignments: ['name = ?'] },
}

/** Tables with so few rows that reading all of them is right. */
const SMALL: Readonly<Record<string, string>> = {
  _schema: 'one row',
  tenant: 'one row',
  reseal: 'one row',
  upstream: 'one row',
  sweep: 'one row',
  reseal_order: 'one row',
  ledger_checkpoint: 'one row',
  bulk_revocations: 'at most 20 orders, and one a key that is being removed',
  api_tokens: 'at most 50',
  sealed_with: 'a row a root key',
  root_keys_front: 'a row a root key',
  root_key_counts: 'a row a root key',
  check_keys: 'at most 8',
  usage_days: 'at most 90 days',
  findings: 'at most one a key of the account, 1,000',
}

/** Statements that read a growing table from one end, and stop soon or change all that they read. */
const STOPS: Readonly<Record<string, string>> = {
  'SELECT seq, at FROM audit_events ORDER BY seq LIMIT ?': 'the oldest rows; the first that is kept ends the reading',
  'DELETE FROM audit_events WHERE seq <= ?': 'deletes what it reads',
  "SELECT seq, key_uid, state, expires_at FROM credentials WHERE expires_at > ? AND state <> 'revoked' ORDER BY seq":
    'for a ledger of at most ROWS_MARKED_AT_ONCE rows; a larger one is taken back by an order',
  "SELECT seq, key_uid, state, expires_at FROM credentials WHERE expires_at > ? AND state <> 'revoked' AND key_uid = ? ORDER BY seq":
    'for a ledger of at most ROWS_MARKED_AT_ONCE rows; a larger one is taken back by an order',
  'SELECT * FROM revocations ORDER BY seq LIMIT ?': 'the oldest rows; the first young one ends the reading',
  'SELECT seq, key_uid, state, issued_at, expires_at FROM credentials WHERE seq > ? ORDER BY seq DESC':
    'the rows after the checkpoint: after 2,000 the next one is stored',
  'SELECT 1 FROM turn_key_owners LIMIT 1': 'one row',
  'SELECT issued_at AS at FROM credentials ORDER BY seq DESC LIMIT 1': 'one row',
  'SELECT 1 FROM creations LIMIT 1': 'one row',
}

const { calls, statements, unread, stray } = statementsOf(PARTS)
const databases = { tenant: await migrated('tenant'), account: await migrated('account') }

/** Statements that read a growing table beyond what they need, and that no exception names. */
const offences = (tablesRead: (database: DatabaseSync, sql: string) => string[]) =>
  statements.flatMap(({ file, object, sql }) =>
    tablesRead(databases[object], sql)
      .filter((table) => !(table in SMALL) && !(sql in STOPS))
      .map((table) => ({ file, table, sql })),
  )
const scans = offences(scannedTables)
const ranges = offences(openRanges)

describe('G15: the statements of src', () => {
  it('G15: Every call of sql.exec in src has a statement that this test has seen', () => {
    expect(calls).toBeGreaterThan(150)
    expect(unread).toEqual([])
  })

  it('G15: No text of SQL in src stands elsewhere than in a call of sql.exec', () => {
    expect(stray).toEqual([])
  })

  it('G15: No statement of src reads a growing table from one end to the other', () => {
    expect(scans).toEqual([])
  })

  it('G15: No statement of src searches an open range of a growing table without a limit', () => {
    expect(ranges).toEqual([])
  })

  it('G15: Every exception of this test is still needed', () => {
    const tables = OBJECTS.flatMap((object) => tablesOf(databases[object]))
    expect(Object.keys(SMALL).filter((table) => !tables.includes(table))).toEqual([])
    const texts = unique(statements.map(({ sql }) => sql))
    expect(Object.keys(STOPS).filter((sql) => !texts.includes(sql))).toEqual([])
    console.log(`${texts.length} statements, of which ${Object.keys(STOPS).length} read from one end and stop`)
  })
})
