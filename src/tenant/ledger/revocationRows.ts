/**
 * The tables `revocations` and `revocation_targets`: which credentials a revocation waits for, and how many are through.
 * Only this file writes them, inside the caller's transaction.
 */

export interface RevocationRow extends Record<string, SqlStorageValue> {
  seq: number
  id: string
  /** JSON, as the caller is shown it. */
  selector: string
  matched: number
  revoked: number
  expired: number
  created_at: number
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

/** The revocation waits for every credential that is being revoked and meets the condition. */
export function insertTargets(
  sql: SqlStorage,
  revocation: number,
  met: { readonly where: string; readonly bindings: readonly SqlStorageValue[] },
): void {
  sql.exec(
    `INSERT INTO revocation_targets (credential, revocation) SELECT seq, ? FROM credentials WHERE state = 'revoking' AND ${met.where}`,
    revocation,
    ...met.bindings,
  )
}

/** Counts a credential's end on every revocation that waits for it. */
export function settleTargets(sql: SqlStorage, credential: number, as: 'revoked' | 'expired'): void {
  sql.exec(
    `UPDATE revocations SET ${as} = ${as} + 1 WHERE seq IN (SELECT revocation FROM revocation_targets WHERE credential = ?)`,
    credential,
  )
  sql.exec('DELETE FROM revocation_targets WHERE credential = ?', credential)
}

/** Revocations that were ordered before then and wait for nothing. */
export function forgetRevocations(sql: SqlStorage, before: number): void {
  sql.exec('DELETE FROM revocations WHERE created_at < ? AND matched = revoked + expired', before)
}
