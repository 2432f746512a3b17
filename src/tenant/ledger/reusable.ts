/** The live credentials of a subject, and those among them whose password can be handed out. Times in milliseconds since 1970. */
import { OF_LINEAGE } from '../turnKeys/lineage.ts'
import { bulkRevocations, isTakenBack, NOT_TAKEN_BACK } from './bulkRevocations.ts'
import type { CredentialRow } from './credentialRows.ts'

interface Search {
  readonly subjectId: string
  readonly origin: string | null
  readonly expiresFrom: number
  readonly expiresUntil: number
}

/**
 * One walk over the subject's live credentials, beginning with the one that expires last. `reusable`: the first that has this key
 * and origin and at least half of its own life left. `live`: none has, and this is how many live credentials the subject has.
 */
export function walkOfSubject(
  sql: SqlStorage,
  {
    subjectId,
    keyUid,
    origin,
    now,
    expiresFrom,
    expiresUntil,
  }: Search & { readonly keyUid: string; readonly now: number },
): { readonly reusable: CredentialRow } | { readonly live: number } {
  let live = 0
  for (const row of liveOfSubject(sql, subjectId, now)) {
    const isSame = row.key_uid === keyUid && row.origin === origin && row.sealed !== null
    const isFresh = (row.expires_at - now) * 2 >= row.expires_at - row.issued_at
    if (isSame && isFresh && row.expires_at >= expiresFrom && row.expires_at <= expiresUntil) return { reusable: row }
    live++
  }
  return { live }
}

export function countLiveOfSubject(sql: SqlStorage, subjectId: string, now: number): number {
  let live = 0
  for (const _ of liveOfSubject(sql, subjectId, now)) live++
  return live
}

function* liveOfSubject(sql: SqlStorage, subjectId: string, now: number): Generator<CredentialRow> {
  const bulk = bulkRevocations(sql)
  const rows = sql.exec<CredentialRow>(
    "SELECT * FROM credentials WHERE subject_id = ? AND expires_at > ? AND state = 'live' ORDER BY expires_at DESC",
    subjectId,
    now,
  )
  for (const row of rows) if (!isTakenBack(bulk, row)) yield row
}

/** The one that ends last, of this origin, and of the lineage of a key if one is named. */
export function newestOfSubject(
  sql: SqlStorage,
  { subjectId, lineageOf, origin, expiresFrom, expiresUntil }: Search & { readonly lineageOf: string | null },
): CredentialRow | undefined {
  return sql
    .exec<CredentialRow>(
      `SELECT * FROM credentials
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
    .toArray()[0]
}
