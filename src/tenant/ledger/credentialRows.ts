/**
 * The table `credentials`, the ledger: a row for every credential that Cloudflare may still accept. Only files of this
 * room name it in SQL, and only this one writes it. A row is pruned after its expiry; the audit trail stays.
 */
import type { CredentialView } from '../../contract/resources/credentials.ts'
import { instant } from '../../contract/values.ts'
import { credentialNumber, newCredentialIdStart } from '../../crypto/ids.ts'
import { bulkRevocations, isTakenBack, NOT_TAKEN_BACK } from './bulkRevocations.ts'

/** `revoking`: revoked here, not yet confirmed by Cloudflare. */
export type CredentialState = 'live' | 'revoking' | 'revoked'

export interface CredentialRow extends Record<string, SqlStorageValue> {
  seq: number
  id: string
  username: string
  state: CredentialState
  subject_id: string | null
  key_uid: string
  origin: string | null
  /** The sealed password while it may be handed out again; else `null`. */
  sealed: string | null
  /** Grows with every reseal; the seal binds it. */
  sealed_version: number
  url_list: number
  issued_at: number
  expires_at: number
  tried_at: number
}

export interface NewCredential {
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

/** Adds a row behind all others. `lastSeq`: the greatest number that was ever given, of a pruned row too. */
export const insertCredential = (
  sql: SqlStorage,
  lastSeq: number,
  it: NewCredential,
): { readonly seq: number; readonly id: string } =>
  sql
    .exec<{ seq: number; id: string }>(
      `INSERT INTO credentials (seq, id, username, state, subject_id, key_uid, origin, sealed, url_list, issued_at, expires_at)
       SELECT next, ? || printf('%012d', next), ?, ?, ?, ?, ?, ?, ?, ?, ?
       FROM (SELECT 1 + max(?, coalesce((SELECT max(seq) FROM credentials), 0)) AS next) RETURNING seq, id`,
      newCredentialIdStart(),
      it.username,
      it.state,
      it.subjectId,
      it.keyUid,
      it.origin,
      it.sealed,
      it.urlList,
      it.issuedAt,
      it.expiresAt,
      lastSeq,
    )
    .one()

/** When the newest credential on the ledger was issued, in milliseconds since 1970. */
export const lastIssuedAt = (sql: SqlStorage): number | undefined =>
  sql.exec<{ at: number }>('SELECT issued_at AS at FROM credentials ORDER BY seq DESC LIMIT 1').toArray()[0]?.at

export const credentialById = (sql: SqlStorage, id: string): CredentialRow | undefined =>
  sql.exec<CredentialRow>('SELECT * FROM credentials WHERE seq = ? AND id = ?', credentialNumber(id), id).toArray()[0]

/** The row, if it may be handed out: live, unexpired, and taken back by nothing. */
export function liveCredentialById(sql: SqlStorage, id: string, now: number): CredentialRow | undefined {
  const row = credentialById(sql, id)
  const isLive = row?.state === 'live' && row.expires_at > now && !isTakenBack(bulkRevocations(sql), row)
  return isLive ? row : undefined
}

export const credentialByUsername = (sql: SqlStorage, username: string): CredentialRow | undefined =>
  sql.exec<CredentialRow>('SELECT * FROM credentials WHERE username = ?', username).toArray()[0]

const REVOKING = "UPDATE credentials SET state = 'revoking', sealed = NULL, tried_at = ?"

/** These rows are being revoked; their sealed passwords are erased. `triedAt`: their place in the job's order. */
export function markRevoking(sql: SqlStorage, rows: readonly { readonly seq: number }[], triedAt: number): void {
  for (const { seq } of rows) sql.exec(`${REVOKING} WHERE seq = ?`, triedAt, seq)
}

/** The same for the live, unexpired rows between two places of the ledger, of a TURN key or (empty) of all. */
export function markRangeRevoking(
  sql: SqlStorage,
  range: { readonly after: number; readonly until: number; readonly keyUid: string; readonly now: number },
  triedAt: number,
): void {
  const { after, until, keyUid, now } = range
  sql.exec(
    `${REVOKING} WHERE seq > ? AND seq <= ? AND state = 'live' AND expires_at > ? AND ? IN ('', key_uid)`,
    triedAt,
    after,
    until,
    now,
    keyUid,
  )
}

/** Cloudflare confirmed the revocation. */
export function markRevoked(sql: SqlStorage, seq: number): void {
  sql.exec("UPDATE credentials SET state = 'revoked' WHERE seq = ?", seq)
}

/** Cloudflare was asked to revoke and did not confirm: others go first the next time. */
export function noteRevokeAttempt(sql: SqlStorage, seq: number, now: number): void {
  sql.exec('UPDATE credentials SET tried_at = ? WHERE seq = ?', now, seq)
}

export function deleteCredential(sql: SqlStorage, seq: number): void {
  sql.exec('DELETE FROM credentials WHERE seq = ?', seq)
}

/** A reseal: replaces the sealed password and raises its version, if both are still the given ones. Whether they were. */
export const replaceSealedPassword = (
  sql: SqlStorage,
  was: { readonly seq: number; readonly sealed: string; readonly version: number },
  sealed: string,
): boolean =>
  sql
    .exec(
      `UPDATE credentials SET sealed = ?, sealed_version = sealed_version + 1
       WHERE seq = ? AND sealed = ? AND sealed_version = ? RETURNING 1`,
      sealed,
      was.seq,
      was.sealed,
      was.version,
    )
    .toArray().length > 0

/** Whether the row still holds this sealed password in this version. */
export const holdsPassword = (
  sql: SqlStorage,
  was: { readonly seq: number; readonly sealed: string; readonly version: number },
): boolean =>
  sql
    .exec(
      'SELECT 1 FROM credentials WHERE seq = ? AND sealed = ? AND sealed_version = ?',
      was.seq,
      was.sealed,
      was.version,
    )
    .toArray().length > 0

/** A row as a reseal walks over them. `live`: 1 while the password may still be handed out. */
export interface SealedCredentialRow extends Record<string, SqlStorageValue> {
  seq: number
  username: string
  version: number
  sealed: string | null
  live: number
}

/** 0 for an empty ledger. */
export const lastCredentialSeq = (sql: SqlStorage): number =>
  sql.exec<{ last: number | null }>('SELECT max(seq) AS last FROM credentials').one().last ?? 0

export const sealedCredentialsAfter = (
  sql: SqlStorage,
  { after, limit, now }: { readonly after: number; readonly limit: number; readonly now: number },
): SealedCredentialRow[] =>
  sql
    .exec<SealedCredentialRow>(
      `SELECT seq, username, sealed_version AS version, sealed,
         expires_at > ? AND state = 'live' AND ${NOT_TAKEN_BACK} AS live FROM credentials
       WHERE seq > ? ORDER BY seq LIMIT ?`,
      now,
      after,
      limit,
    )
    .toArray()

export const credentialView = (row: CredentialRow): CredentialView => ({
  id: row.id,
  subjectId: row.subject_id,
  keyId: row.key_uid,
  username: row.username,
  issuedAt: instant(row.issued_at),
  expiresAt: instant(row.expires_at),
  origin: row.origin,
})
