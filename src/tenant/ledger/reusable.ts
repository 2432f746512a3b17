/** Finding a live credential of a subject whose password can still be opened. Times in milliseconds since 1970. */
import { OF_LINEAGE } from '../turnKeys/lineage.ts'
import { NOT_TAKEN_BACK } from './bulkRevocations.ts'

interface Search {
  readonly subjectId: string
  readonly origin: string | null
  readonly expiresFrom: number
  readonly expiresUntil: number
}

/** The id of the one that ends last, of this key and origin, with at least half of its own life left. */
export function newestReusable(
  sql: SqlStorage,
  {
    subjectId,
    keyUid,
    origin,
    now,
    expiresFrom,
    expiresUntil,
  }: Search & { readonly keyUid: string; readonly now: number },
): string | undefined {
  const [row] = sql
    .exec<{ id: string }>(
      `SELECT id FROM credentials
       WHERE subject_id = ? AND expires_at BETWEEN ? AND ? AND state = 'live' AND key_uid = ? AND origin IS ?
         AND sealed IS NOT NULL AND (expires_at - ?) * 2 >= expires_at - issued_at AND ${NOT_TAKEN_BACK}
       ORDER BY expires_at DESC LIMIT 1`,
      subjectId,
      expiresFrom,
      expiresUntil,
      keyUid,
      origin,
      now,
    )
    .toArray()
  return row?.id
}

/** The id of the one that ends last, of this origin, and of the lineage of a key if one is named. */
export function newestOfSubject(
  sql: SqlStorage,
  { subjectId, lineageOf, origin, expiresFrom, expiresUntil }: Search & { readonly lineageOf: string | null },
): string | undefined {
  const [row] = sql
    .exec<{ id: string }>(
      `SELECT id FROM credentials
       WHERE subject_id = ? AND expires_at BETWEEN ? AND ? AND state = 'live' AND origin IS ? AND sealed IS NOT NULL
         AND (? IS NULL OR ${OF_LINEAGE}) AND ${NOT_TAKEN_BACK}
       ORDER BY expires_at DESC LIMIT 1`,
      subjectId,
      expiresFrom,
      expiresUntil,
      origin,
      lineageOf,
      lineageOf,
    )
    .toArray()
  return row?.id
}
