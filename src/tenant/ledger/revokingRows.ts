/** What a revocation reads of the ledger: the rows of its scope, and the rows that Cloudflare is still to be asked about. */
import { credentialNumber } from '../../crypto/ids.ts'
import type { CredentialRow, CredentialState } from './credentialRows.ts'

/** What decides about a row: where it is, of which key, its state and its end. */
export interface StateRow extends Record<string, SqlStorageValue> {
  seq: number
  key_uid: string
  state: CredentialState
  expires_at: number
}

/** Credentials by id, by subject, or by TURN key; `keyUid` null: all. */
export type Scope =
  | { readonly credentialId: string }
  | { readonly subjectId: string }
  | { readonly keyUid: string | null }

const UNEXPIRED = "SELECT seq, key_uid, state, expires_at FROM credentials WHERE expires_at > ? AND state <> 'revoked'"

/** The unexpired rows that are live or being revoked. By key or all: reads all unexpired rows, so for small ledgers only. */
export function unexpiredRows(sql: SqlStorage, scope: Scope, now: number): StateRow[] {
  if ('credentialId' in scope) {
    const { credentialId } = scope
    return sql
      .exec<StateRow>(`${UNEXPIRED} AND seq = ? AND id = ?`, now, credentialNumber(credentialId), credentialId)
      .toArray()
  }
  if ('subjectId' in scope)
    return sql.exec<StateRow>(`${UNEXPIRED} AND subject_id = ? ORDER BY seq`, now, scope.subjectId).toArray()
  if (scope.keyUid === null) return sql.exec<StateRow>(`${UNEXPIRED} ORDER BY seq`, now).toArray()
  return sql.exec<StateRow>(`${UNEXPIRED} AND key_uid = ? ORDER BY seq`, now, scope.keyUid).toArray()
}

/** The first and the last row of the ledger, and how many rows it has at most. */
export function ledgerSpan(sql: SqlStorage): { first: number; last: number; rows: number } {
  const ends = sql.exec<{ first: number | null; last: number | null }>(
    'SELECT (SELECT min(seq) FROM credentials) AS first, (SELECT max(seq) FROM credentials) AS last',
  )
  const { first, last } = ends.one()
  if (first === null || last === null) return { first: 1, last: 0, rows: 0 }
  return { first, last, rows: last - first + 1 }
}

/** The numbers of the next rows of the ledger. */
export const seqsBetween = (
  sql: SqlStorage,
  { after, until, limit }: { readonly after: number; readonly until: number; readonly limit: number },
): number[] =>
  sql
    .exec<{ seq: number }>(
      'SELECT seq FROM credentials WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?',
      after,
      until,
      limit,
    )
    .toArray()
    .map(({ seq }) => seq)

/** The next row to ask Cloudflare for that was last tried before then and is none of `except`; `undefined`: there is none. */
export const nextRevoking = (
  sql: SqlStorage,
  triedBefore: number,
  except: ReadonlySet<number>,
): CredentialRow | undefined =>
  sql
    .exec<CredentialRow>(
      "SELECT * FROM credentials WHERE state = 'revoking' AND tried_at < ? ORDER BY tried_at, seq LIMIT ?",
      triedBefore,
      except.size + 1,
    )
    .toArray()
    .find(({ seq }) => !except.has(seq))

/** A key's rows that are being revoked. */
export const revokingOfKey = (
  sql: SqlStorage,
  keyUid: string,
  { now, limit }: { readonly now: number; readonly limit: number },
): CredentialRow[] =>
  sql
    .exec<CredentialRow>(
      "SELECT * FROM credentials WHERE state = 'revoking' AND key_uid = ? AND expires_at > ? LIMIT ?",
      keyUid,
      now,
      limit,
    )
    .toArray()
