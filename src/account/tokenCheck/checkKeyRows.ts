/** The table `check_keys`: the sealed check keys of API tokens, of which the newest eight are kept. Only this file writes it. */
import type { SealedCheckKey } from '../../crypto/checkKeys.ts'
import { rootKeyOf } from '../../crypto/seal.ts'

/** Tokens made with a key that is no longer kept count as forged. */
const KEPT_CHECK_KEYS = 8

interface CheckKeyRow extends Record<string, SqlStorageValue> {
  number: number
  sealed: string
  version: number
  signs_from: number
}

/** Newest first. */
export const checkKeyRows = (sql: SqlStorage): SealedCheckKey[] =>
  sql
    .exec<CheckKeyRow>('SELECT number, sealed, version, signs_from FROM check_keys ORDER BY number DESC')
    .toArray()
    .map(({ number, sealed, version, signs_from }) => ({ number, sealed, version, signsFrom: signs_from }))

/** Inside a transaction. Changes nothing if there is a key of this number. */
export function insertCheckKey(sql: SqlStorage, { number, sealed, version, signsFrom }: SealedCheckKey): void {
  sql.exec(
    'INSERT INTO check_keys (number, sealed, version, signs_from) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING',
    number,
    sealed,
    version,
    signsFrom,
  )
  sql.exec('DELETE FROM check_keys WHERE number <= ?', number - KEPT_CHECK_KEYS)
}

/** Inside a transaction: the same key under another root key. */
export function replaceSealedCheckKey(sql: SqlStorage, was: SealedCheckKey, now: SealedCheckKey): void {
  sql.exec(
    'UPDATE check_keys SET sealed = ?, version = ? WHERE number = ? AND version = ?',
    now.sealed,
    now.version,
    was.number,
    was.version,
  )
}

/** Ids of the root keys that open the check keys. */
export const rootKeysOfCheckKeys = (sql: SqlStorage): string[] => [
  ...new Set(checkKeyRows(sql).flatMap(({ sealed }) => rootKeyOf(sealed) ?? [])),
]
