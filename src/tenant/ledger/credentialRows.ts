/** The ledger: a row for every credential that may be live upstream. Rows go when they have expired; the audit trail stays. */
import type { CredentialView } from '../../contract/resources/credentials.ts'
import { instant } from '../../contract/values.ts'

/** `revoking`: taken back here, not yet confirmed by upstream. */
export type CredentialState = 'live' | 'revoking' | 'revoked'

/** What the column `sealed_version` is by default. */
export const FIRST_SEALED_VERSION = 1

export interface CredentialRow extends Record<string, SqlStorageValue> {
  seq: number
  id: string
  username: string
  state: CredentialState
  subject_id: string | null
  key_uid: string
  origin: string | null
  /** The password, sealed, while it can be handed out again; else `null`. */
  sealed: string | null
  /** Grows with every move to another root key; bound into the seal. */
  sealed_version: number
  url_list: number
  issued_at: number
  expires_at: number
  tried_at: number
}

export interface NewCredential {
  readonly id: string
  readonly username: string
  readonly state: CredentialState
  readonly subjectId: string | null
  readonly keyUid: string
  readonly origin: string | null
  readonly sealed: string | null
  readonly urlList: number
  readonly issuedAt: number
  readonly expiresAt: number
}

export function insertCredential(sql: SqlStorage, it: NewCredential): void {
  sql.exec(
    `INSERT INTO credentials (id, username, state, subject_id, key_uid, origin, sealed, url_list, issued_at, expires_at)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    it.id,
    it.username,
    it.state,
    it.subjectId,
    it.keyUid,
    it.origin,
    it.sealed,
    it.urlList,
    it.issuedAt,
    it.expiresAt,
  )
}

export const credentialById = (sql: SqlStorage, id: string): CredentialRow | undefined =>
  sql.exec<CredentialRow>('SELECT * FROM credentials WHERE id = ?', id).toArray()[0]

export const credentialByUsername = (sql: SqlStorage, username: string): CredentialRow | undefined =>
  sql.exec<CredentialRow>('SELECT * FROM credentials WHERE username = ?', username).toArray()[0]

export const countLiveOfSubject = (sql: SqlStorage, subjectId: string, now: number): number =>
  sql
    .exec<{ n: number }>(
      "SELECT count(*) AS n FROM credentials WHERE subject_id = ? AND expires_at > ? AND state = 'live'",
      subjectId,
      now,
    )
    .one().n

/** The id of a list of URLs; the same list is stored once. Inside a transaction. */
export function keepUrlList(sql: SqlStorage, urls: readonly string[]): number {
  const text = JSON.stringify(urls)
  const [known] = sql.exec<{ id: number }>('SELECT id FROM url_lists WHERE urls = ?', text).toArray()
  return known?.id ?? sql.exec<{ id: number }>('INSERT INTO url_lists (urls) VALUES (?) RETURNING id', text).one().id
}

export const urlList = (sql: SqlStorage, id: number): string[] => {
  const { urls } = sql.exec<{ urls: string }>('SELECT urls FROM url_lists WHERE id = ?', id).one()
  return JSON.parse(urls) as string[] // written by keepUrlList only
}

/** The list upstream gave last; `undefined` when it never gave one. */
export function newestUrlList(sql: SqlStorage): string[] | undefined {
  const [row] = sql.exec<{ id: number }>('SELECT max(id) AS id FROM url_lists HAVING id IS NOT NULL').toArray()
  return row && urlList(sql, row.id)
}

export const credentialView = (row: CredentialRow): CredentialView => ({
  id: row.id,
  subjectId: row.subject_id,
  keyId: row.key_uid,
  username: row.username,
  issuedAt: instant(row.issued_at),
  expiresAt: instant(row.expires_at),
  origin: row.origin,
})
