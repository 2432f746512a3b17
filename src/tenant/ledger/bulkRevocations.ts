/**
 * The table `bulk_revocations`, which only this file writes: "every credential up to this row of the ledger, of this TURN key or
 * of all, is being revoked". It holds from the moment of the order, so an order over a large ledger touches no row of it; a
 * job then marks the rows in bounded steps. Who reads live rows leaves out the others: by `NOT_TAKEN_BACK` or `isTakenBack`.
 */
import { Remembered } from '../core/remembered.ts'

export interface BulkRevocation extends Record<string, SqlStorageValue> {
  /** Empty: of every TURN key. */
  key_uid: string
  /** The last row of the ledger that it covers. */
  until_seq: number
  /** Rows up to this one are marked. */
  marked_seq: number
}

/** SQL condition on a row of `credentials` in state `live`: no bulk revocation covers it. */
export const NOT_TAKEN_BACK = `NOT EXISTS (
  SELECT 1 FROM bulk_revocations b WHERE b.key_uid IN ('', credentials.key_uid) AND credentials.seq <= b.until_seq)`

const orders = new Remembered<'all', readonly BulkRevocation[]>(1)

export const bulkRevocations = (sql: SqlStorage): readonly BulkRevocation[] =>
  orders.get(sql, 'all', () =>
    sql.exec<BulkRevocation>('SELECT key_uid, until_seq, marked_seq FROM bulk_revocations').toArray(),
  )

/** Whether one of them covers a row that is `live`: the same as `NOT_TAKEN_BACK`. */
export const isTakenBack = (
  bulk: readonly BulkRevocation[],
  row: { readonly seq: number; readonly key_uid: string },
): boolean => bulk.some(({ key_uid, until_seq }) => row.seq <= until_seq && (key_uid === '' || key_uid === row.key_uid))

/** Inside a transaction. `keyUid` null: of every TURN key. An earlier one of the same key keeps its mark. */
export function insertBulkRevocation(
  sql: SqlStorage,
  {
    keyUid,
    firstSeq,
    untilSeq,
  }: { readonly keyUid: string | null; readonly firstSeq: number; readonly untilSeq: number },
): void {
  orders.forget(sql)
  sql.exec(
    `INSERT INTO bulk_revocations (key_uid, until_seq, marked_seq) VALUES (?, ?, ?)
     ON CONFLICT DO UPDATE SET until_seq = excluded.until_seq`,
    keyUid ?? '',
    untilSeq,
    firstSeq - 1,
  )
}

/** Rows up to `markedSeq` are marked now; `null`: all are, and the bulk revocation goes. */
export function moveMark(sql: SqlStorage, keyUid: string, markedSeq: number | null): void {
  orders.forget(sql)
  if (markedSeq === null) sql.exec('DELETE FROM bulk_revocations WHERE key_uid = ?', keyUid)
  else sql.exec('UPDATE bulk_revocations SET marked_seq = ? WHERE key_uid = ?', markedSeq, keyUid)
}
