/** The table `bans`: until when a subject or an API token is refused. Only this file writes it. */
import { newId } from '../../crypto/ids.ts'

export interface BanRow extends Record<string, SqlStorageValue> {
  seq: number
  id: string
  subject_id: string | null
  token_id: string | null
  until: number
  created_at: number
  lifted_at: number | null
}

export const isBanned = (sql: SqlStorage, column: 'subject_id' | 'token_id', id: string, now: number): boolean =>
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

export const insertBanRow = (
  sql: SqlStorage,
  ban: { readonly subjectId: string | null; readonly tokenId: string | null; readonly until: number },
  now: number,
): BanRow =>
  sql
    .exec<BanRow>(
      'INSERT INTO bans (id, subject_id, token_id, until, created_at) VALUES (?, ?, ?, ?, ?) RETURNING *',
      newId('bn'),
      ban.subjectId,
      ban.tokenId,
      ban.until,
      now,
    )
    .one()

export function liftBanRow(sql: SqlStorage, { seq }: BanRow, now: number): void {
  sql.exec('UPDATE bans SET lifted_at = ? WHERE seq = ?', now, seq)
}

/** Bans that ended or were lifted before then. */
export function forgetBans(sql: SqlStorage, before: number): void {
  sql.exec('DELETE FROM bans WHERE until < ? OR lifted_at < ?', before, before)
}
