/**
 * The tables `revocations` and `revocation_targets`: which credentials a revocation waits for, and how many are through.
 * Only this file writes them, inside the caller's transaction.
 */
import { addToMark, markOf } from '../core/marks.ts'

export interface RevocationRow extends Record<string, SqlStorageValue> {
  seq: number
  id: string
  /** JSON, as the caller is shown it. */
  selector: string
  matched: number
  revoked: number
  expired: number
  created_at: number
  /** Of a bulk revocation: when the last of its credentials expires; else `null`. */
  last_expiry: number | null
}

export const revocationById = (sql: SqlStorage, id: string): RevocationRow | undefined =>
  sql.exec<RevocationRow>('SELECT * FROM revocations WHERE id = ?', id).toArray()[0]

/** The row's `seq`. */
export const insertRevocation = (sql: SqlStorage, id: string, selector: unknown, now: number): number =>
  sql
    .exec<{ seq: number }>(
      'INSERT INTO revocations (id, selector, matched, created_at) VALUES (?, ?, 0, ?) RETURNING seq',
      id,
      JSON.stringify(selector),
      now,
    )
    .one().seq

export function setMatched(sql: SqlStorage, seq: number, matched: number): void {
  sql.exec('UPDATE revocations SET matched = ? WHERE seq = ?', matched, seq)
}

/** The revocation waits for these credentials. */
export function insertTargets(
  sql: SqlStorage,
  revocation: number,
  rows: readonly { readonly seq: number; readonly expires_at: number }[],
): void {
  for (const { seq, expires_at } of rows)
    sql.exec(
      'INSERT INTO revocation_targets (credential, revocation, expires_at) VALUES (?, ?, ?)',
      seq,
      revocation,
      expires_at,
    )
  addToMark(sql, 'revocation-targets', rows.length)
}

export const countTargets = (sql: SqlStorage): number => markOf(sql, 'revocation-targets')

/** Counts a credential's end on every revocation that waits for it. */
export function settleTargets(sql: SqlStorage, credential: number, as: 'revoked' | 'expired'): void {
  const waiting = sql
    .exec<{ revocation: number }>(
      'DELETE FROM revocation_targets WHERE credential = ? RETURNING revocation',
      credential,
    )
    .toArray()
  addToMark(sql, 'revocation-targets', -waiting.length)
  for (const { revocation } of waiting) sql.exec(`UPDATE revocations SET ${as} = ${as} + 1 WHERE seq = ?`, revocation)
}

/** Credentials with a waiting revocation that have expired by then, the earliest first. */
export const expiredTargets = (sql: SqlStorage, now: number, limit: number): number[] =>
  sql
    .exec<{ credential: number }>(
      'SELECT credential FROM revocation_targets WHERE expires_at <= ? ORDER BY expires_at LIMIT ?',
      now,
      limit,
    )
    .toArray()
    .map(({ credential }) => credential)

/** What a bulk revocation waits for: every row of the ledger up to one, of one TURN key or (empty) of all. */
export interface Bulk {
  readonly keyUid: string
  readonly untilSeq: number
  /** When the last of them expires, in milliseconds. */
  readonly lastExpiry: number
}

export function setBulk(sql: SqlStorage, seq: number, { keyUid, untilSeq, lastExpiry }: Bulk): void {
  sql.exec(
    'UPDATE revocations SET key_uid = ?, until_seq = ?, last_expiry = ? WHERE seq = ?',
    keyUid,
    untilSeq,
    lastExpiry,
    seq,
  )
}

/** Bulk revocations that wait for something. */
export const countOpenBulk = (sql: SqlStorage, now: number): number =>
  sql.exec<{ n: number }>('SELECT count(*) AS n FROM revocations WHERE last_expiry > ?', now).one().n

/** Counts the ends of credentials on the bulk revocations that wait for them: one row written for each revocation. */
export function countBulk(
  sql: SqlStorage,
  ended: readonly { readonly seq: number; readonly key_uid: string; readonly expires_at: number }[],
  as: 'revoked' | 'expired',
): void {
  const [first] = ended
  if (!first) return
  const earliest = ended.reduce((least, { expires_at }) => Math.min(least, expires_at), first.expires_at)
  const open = sql.exec<{ seq: number; key_uid: string; until_seq: number }>(
    'SELECT seq, key_uid, until_seq FROM revocations WHERE last_expiry >= ?',
    earliest,
  )
  for (const { seq, key_uid, until_seq } of open.toArray()) {
    const count = ended.filter((row) => row.seq <= until_seq && (key_uid === '' || key_uid === row.key_uid)).length
    if (count > 0) sql.exec(`UPDATE revocations SET ${as} = ${as} + ? WHERE seq = ?`, count, seq)
  }
}

/** Of the `atMost` oldest revocations, deletes those that were ordered before then and wait for nothing. */
export function forgetRevocations(sql: SqlStorage, before: number, atMost: number): void {
  for (const { seq } of oldestRevocations(sql, atMost, before).filter(isDone)) deleteRevocation(sql, seq)
}

/** From the oldest stored revocation to the newest: at least as many as there are. */
export const spanOfRevocations = (sql: SqlStorage): number =>
  sql
    .exec<{ span: number | null }>(
      'SELECT (SELECT max(seq) FROM revocations) - (SELECT min(seq) FROM revocations) + 1 AS span',
    )
    .one().span ?? 0

/** Deletes the oldest revocation that waits for nothing, if it is among the `among` oldest. */
export function forgetOldestRevocation(sql: SqlStorage, among: number): void {
  const done = oldestRevocations(sql, among, Number.MAX_SAFE_INTEGER).find(isDone)
  if (done) deleteRevocation(sql, done.seq)
}

function oldestRevocations(sql: SqlStorage, atMost: number, before: number): RevocationRow[] {
  const oldest: RevocationRow[] = []
  for (const row of sql.exec<RevocationRow>('SELECT * FROM revocations ORDER BY seq LIMIT ?', atMost)) {
    // Sequence and time grow together: the first young row ends the reading.
    if (row.created_at >= before) break
    oldest.push(row)
  }
  return oldest
}

const isDone = ({ matched, revoked, expired }: RevocationRow): boolean => matched === revoked + expired

function deleteRevocation(sql: SqlStorage, seq: number): void {
  sql.exec('DELETE FROM revocations WHERE seq = ?', seq)
}
