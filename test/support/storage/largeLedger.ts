/** A ledger of many rows, written as a tenant that has minted for long would have it. */
import { runInDurableObject } from 'cloudflare:test'
import { killObjects } from '../tenants/issuing.ts'
import { tenantStub } from './tenantRows.ts'

/** The id of the n-th row's subject. */
export const filledSubject = (n: number): string => `su_${String(n).padStart(22, '0')}`

/** Adds live credentials of these TURN keys in turn, one for each subject (`filledSubject`); the object then starts again. */
export async function fillLedger(
  id: string,
  { keys, count, expiresAt }: { readonly keys: readonly string[]; readonly count: number; readonly expiresAt: number },
): Promise<void> {
  await runInDurableObject(tenantStub(id), (_, { storage }) =>
    storage.transactionSync(() => {
      keys.forEach((uid, first) => {
        storage.sql.exec(
          `WITH RECURSIVE n(i) AS (
             SELECT CAST(? AS INTEGER) UNION ALL SELECT CAST(i + ? AS INTEGER) FROM n WHERE i + ? < ?)
           INSERT INTO credentials (id, username, state, subject_id, key_uid, sealed, url_list, issued_at, expires_at)
           SELECT printf('cr_%022d', i + 1), printf('filled%026d', i), 'live', printf('su_%022d', i), ?, 'sealed', 1, ?, ? + i FROM n`,
          first,
          keys.length,
          keys.length,
          count,
          uid,
          expiresAt - 172_800_000,
          expiresAt,
        )
      })
    }),
  )
  await killObjects()
}
