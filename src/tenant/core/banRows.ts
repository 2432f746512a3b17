/** The table `bans`: until when a subject or an API token is refused. Only this file writes it. */
import { newId } from '../../crypto/ids.ts'
import { addToMark, markOf } from './marks.ts'
import { Remembered } from './remembered.ts'

export interface BanRow extends Record<string, SqlStorageValue> {
  seq: number
  id: string
  subject_id: string | null
  token_id: string | null
  until: number
  created_at: number
  lifted_at: number | null
  /** When it was lifted, or its end once that was seen to have passed; `null`: it counts as open. */
  ended_at: number | null
}

/** Beyond that number of ended bans a new ban deletes the earliest of them. */
export const MAX_ENDED_BANS = 100_000
const FORGOTTEN_A_BAN = 2

/** Of each object: how many bans count as open. Most tenants have none, and no ban is looked for then. */
const openBans = new Remembered<'count', number>(1)

export const isBanned = (sql: SqlStorage, column: 'subject_id' | 'token_id', id: string, now: number): boolean =>
  openBans.get(sql, 'count', () => countOpenBans(sql)) > 0 &&
  sql.exec(`SELECT 1 FROM bans WHERE ${column} = ? AND until > ? AND lifted_at IS NULL LIMIT 1`, id, now).toArray()
    .length > 0

export const banById = (sql: SqlStorage, id: string): BanRow | undefined =>
  sql.exec<BanRow>('SELECT * FROM bans WHERE id = ?', id).toArray()[0]

/** Newest first; one more than `limit`, so that the caller sees whether there is a next page. */
export const bansBefore = (sql: SqlStorage, before: number | null, limit: number): BanRow[] =>
  sql
    .exec<BanRow>(
      'SELECT * FROM bans WHERE seq < ? ORDER BY seq DESC LIMIT ?',
      before ?? Number.MAX_SAFE_INTEGER,
      limit + 1,
    )
    .toArray()

/** Inside a transaction. */
export function insertBanRow(
  sql: SqlStorage,
  ban: { readonly subjectId: string | null; readonly tokenId: string | null; readonly until: number },
  now: number,
): BanRow {
  const row = sql
    .exec<BanRow>(
      'INSERT INTO bans (id, subject_id, token_id, until, created_at) VALUES (?, ?, ?, ?, ?) RETURNING *',
      newId('bn'),
      ban.subjectId,
      ban.tokenId,
      ban.until,
      now,
    )
    .one()
  openBans.forget(sql)
  addToMark(sql, 'open-bans', 1)
  // A tenant that bans and lifts all day keeps a bounded number of rows, without waiting for the pruning job.
  if (markOf(sql, 'ended-bans') > MAX_ENDED_BANS) forgetBans(sql, Number.MAX_SAFE_INTEGER, FORGOTTEN_A_BAN)
  return row
}

/** Inside a transaction, for a ban that was not lifted before. */
export function liftBanRow(sql: SqlStorage, { seq, ended_at }: BanRow, now: number): void {
  sql.exec('UPDATE bans SET lifted_at = ?, ended_at = coalesce(ended_at, ?) WHERE seq = ?', now, now, seq)
  if (ended_at === null) countEnded(sql, 1)
}

/** Bans that are in force; those whose end has passed count until `endBans` has met them. */
export const countOpenBans = (sql: SqlStorage): number => markOf(sql, 'open-bans')

/** Inside a transaction: takes up to `atMost` bans whose end has passed out of the number of open ones. */
export function endBans(sql: SqlStorage, now: number, atMost: number): void {
  const ended = sql.exec(
    `UPDATE bans SET ended_at = until WHERE seq IN (
       SELECT seq FROM bans WHERE ended_at IS NULL AND until <= ? ORDER BY until LIMIT ?) RETURNING 1`,
    now,
    atMost,
  )
  countEnded(sql, ended.toArray().length)
}

/** Inside a transaction: deletes up to `atMost` bans that ended before then, the earliest first. */
export function forgetBans(sql: SqlStorage, before: number, atMost: number): void {
  const deleted = sql.exec(
    `DELETE FROM bans WHERE seq IN (
       SELECT seq FROM bans WHERE ended_at IS NOT NULL AND ended_at < ? ORDER BY ended_at LIMIT ?) RETURNING 1`,
    before,
    atMost,
  )
  addToMark(sql, 'ended-bans', -deleted.toArray().length)
}

function countEnded(sql: SqlStorage, bans: number): void {
  openBans.forget(sql)
  addToMark(sql, 'open-bans', -bans)
  addToMark(sql, 'ended-bans', bans)
}
