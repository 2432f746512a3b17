/**
 * Stored counts of the ledger, so that an object that starts does not read the whole ledger. `ledger_counts` holds one row for
 * each TURN key and hour of expiry, `ledger_checkpoint` up to which row of the ledger they count: an object that starts reads
 * both and the rows after it. The day's number of issued credentials is stored with the checkpoint too. Whatever changes a
 * counted row stores the counts of its hour in the same transaction; new rows are stored with the pruning. Only this file names
 * the two tables.
 */
import type { TenantContext } from '../core/context.ts'
import {
  type HourOfCounts,
  hourOf,
  type LedgerCounts,
  type LoadedCount,
  type SecondCount,
  secondOf,
} from '../memory/ledgerCounts.ts'
import { lastCredentialSeq } from './credentialRows.ts'
import { countUsage } from './usage.ts'

const MINUTE_MS = 60_000
/** Rows are in the order of their commits, and a mint may have begun this long before its own. */
const LONGEST_MINT_MS = 10_000
const LEDGER_ROW = 'SELECT seq, key_uid, state, issued_at, expires_at FROM credentials'
/** Rows before the checkpoint that are read at a time. */
const PAGE = 8
/** With this many rows after the checkpoint the next one is due. */
export const ROWS_A_CHECKPOINT = 2_000

interface StoredHour extends Record<string, SqlStorageValue> {
  key_uid: string
  hour: number
  up_to: number
  counts: string
}

interface LedgerRow extends Record<string, SqlStorageValue> {
  seq: number
  key_uid: string
  state: string
  issued_at: number
  expires_at: number
}

/** What the limits count, when an object starts or after a transaction was rolled back. */
export function countLedger(sql: SqlStorage, now: number): LedgerCounts {
  const hours = sql
    .exec<StoredHour>(
      'SELECT key_uid, hour, up_to, counts FROM ledger_counts WHERE hour >= ?',
      hourOf(Math.floor(now / 1_000)),
    )
    .toArray()
  const stored = new Map(hours.map((row) => [idOf(row.key_uid, row.hour), row.up_to]))
  const counts = hours.flatMap(unpack)
  const storedUpTo = checkpoint(sql)
  const { mintedInLastMinute, issuedSinceStored, rows } = newestRows(sql, storedUpTo, now)
  for (const row of rows) {
    const expirySecond = secondOf(row.expires_at)
    if (row.seq <= (stored.get(idOf(row.key_uid, hourOf(expirySecond))) ?? 0)) continue
    counts.push({ keyUid: row.key_uid, expirySecond, isStored: false, ...one(row) })
  }
  return { counts, mintedInLastMinute, issuedSinceStored, lastSeq: rows[0]?.seq ?? storedUpTo }
}

/** Whatever a bulk revocation has taken back is before the checkpoint, which moves with the order. */
const one = ({ state }: LedgerRow): SecondCount => ({
  live: state === 'live' ? 1 : 0,
  revoking: state === 'revoking' ? 1 : 0,
})

/** Every row after the checkpoint, and the mints of the last minute among those before it. */
function newestRows(sql: SqlStorage, after: number, now: number) {
  const rows = sql.exec<LedgerRow>(`${LEDGER_ROW} WHERE seq > ? ORDER BY seq DESC`, after).toArray()
  const minted = rows.map(({ issued_at }) => issued_at)
  for (let below = after + 1, page = PAGE; page === PAGE; ) {
    const older = sql
      .exec<LedgerRow>(`${LEDGER_ROW} WHERE seq < ? ORDER BY seq DESC LIMIT ?`, below, PAGE)
      .toArray()
      .filter(({ issued_at }) => issued_at > now - MINUTE_MS - LONGEST_MINT_MS)
    minted.push(...older.map(({ issued_at }) => issued_at))
    page = older.length
    below = older.at(-1)?.seq ?? below
  }
  const mintedInLastMinute = minted.filter((at) => at > now - MINUTE_MS).sort((x, y) => x - y)
  return { rows, issuedSinceStored: rows.map(({ issued_at }) => issued_at), mintedInLastMinute }
}

/** Inside the transaction that changed a counted credential: stores the counts of its key and hour, if they are not stored yet. */
export function storeHour(
  { sql, now, live }: Pick<TenantContext, 'sql' | 'now' | 'live'>,
  changed: { readonly keyUid: string; readonly expiresAt: number },
): void {
  const hours = live().takeChanged(now(), changed)
  if (hours.length > 0) writeHours(sql, hours, lastSeqEver(sql))
}

/**
 * Inside a transaction: stores everything that changed, and moves the checkpoint to the newest row. Before rows are pruned: their
 * numbers are not given again, because the checkpoint remembers the greatest.
 */
export function storeCounts({ sql, now, live }: Pick<TenantContext, 'sql' | 'now' | 'live'>): void {
  for (const [day, issued] of live().issuedSinceStored) countUsage(sql, day, 'issued', issued)
  const upTo = lastSeqEver(sql)
  writeHours(sql, live().takeChanged(now()), upTo)
  sql.exec(
    `INSERT INTO ledger_checkpoint (one, seq) VALUES (1, ?)
     ON CONFLICT DO UPDATE SET seq = excluded.seq WHERE seq <> excluded.seq`,
    upTo,
  )
}

/** Stored hours that are over. */
export function forgetCounts(sql: SqlStorage, now: number): void {
  sql.exec('DELETE FROM ledger_counts WHERE hour < ?', hourOf(Math.floor(now / 1_000)))
}

const lastSeqEver = (sql: SqlStorage): number => Math.max(checkpoint(sql), lastCredentialSeq(sql))

function writeHours(sql: SqlStorage, hours: readonly HourOfCounts[], upTo: number): void {
  for (const { keyUid, hour, seconds } of hours) {
    const counts = JSON.stringify(seconds.map(([second, { live: n, revoking }]) => [second, n, revoking]))
    sql.exec(
      `INSERT INTO ledger_counts (hour, key_uid, up_to, counts) VALUES (?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET up_to = excluded.up_to, counts = excluded.counts`,
      hour,
      keyUid,
      upTo,
      counts,
    )
  }
}

function unpack({ key_uid, counts }: StoredHour): LoadedCount[] {
  const seconds = JSON.parse(counts) as [number, number, number][] // written by store only
  return seconds.map(([expirySecond, live, revoking]) => ({
    keyUid: key_uid,
    expirySecond,
    isStored: true,
    live,
    revoking,
  }))
}

const checkpoint = (sql: SqlStorage): number =>
  sql.exec<{ seq: number }>('SELECT seq FROM ledger_checkpoint').toArray()[0]?.seq ?? 0

const idOf = (keyUid: string, hour: number): string => `${hour} ${keyUid}`
