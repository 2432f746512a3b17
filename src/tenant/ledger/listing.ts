/**
 * Listing live credentials, page by page, newest first. A call looks at a bounded number of rows: at those of the subject, or
 * at `LOOKED_AT_A_CALL` from the newest end, whatever the filter and however much was revoked.
 */
import type { CredentialView } from '../../contract/resources/credentials.ts'
import type { Call, Page } from '../../rpc/calls.ts'
import { hitsOf, LOOKED_AT_A_CALL, paged } from '../../storage/paging.ts'
import { authorize } from '../core/authorization.ts'
import type { TenantContext } from '../core/context.ts'
import { type BulkRevocation, bulkRevocations, isTakenBack } from './bulkRevocations.ts'
import { type CredentialRow, credentialView } from './credentialRows.ts'

/** Rows of one subject that are sorted for one page: what the widest policy lets live. */
const SORTED_A_CALL = 1_000

interface LookedAt extends Record<string, SqlStorageValue> {
  seq: number
  key_uid: string
  /** 1: live, and what was asked for. */
  hit: number
}

interface Asked extends Page {
  readonly subjectId: string | null
  readonly keyId: string | null
}

export function listCredentials(
  ctx: TenantContext,
  call: Call & Asked,
): { items: CredentialView[]; next: number | null } {
  authorize(ctx, call.caller, 'credentials:read')
  const { subjectId } = call
  return (subjectId !== null && listOfSubject(ctx, { ...call, subjectId })) || listFromNewest(ctx, call)
}

/** By the index on the subject; `undefined`: the subject has too many rows to sort. */
function listOfSubject({ sql, now }: TenantContext, asked: Asked & { readonly subjectId: string }) {
  const rows = sql
    .exec<CredentialRow>(
      'SELECT * FROM credentials WHERE subject_id = ? AND expires_at > ? LIMIT ?',
      asked.subjectId,
      now(),
      SORTED_A_CALL + 1,
    )
    .toArray()
  if (rows.length > SORTED_A_CALL) return
  const { before, keyId } = asked
  const bulk = bulkRevocations(sql)
  const hits = rows
    .filter(
      ({ state, seq, key_uid }) => state === 'live' && seq < (before ?? seq + 1) && key_uid === (keyId ?? key_uid),
    )
    .filter((row) => !isTakenBack(bulk, row))
    .sort((a, b) => b.seq - a.seq)
  return paged(hits, asked.limit, credentialView)
}

function listFromNewest({ sql, now }: TenantContext, { before, limit, subjectId, keyId }: Asked) {
  const looked = sql.exec<LookedAt>(
    `SELECT seq, key_uid, state = 'live' AND expires_at > ? AND subject_id IS coalesce(?, subject_id)
       AND key_uid = coalesce(?, key_uid) AS hit FROM credentials WHERE seq < ? ORDER BY seq DESC LIMIT ?`,
    now(),
    subjectId,
    keyId,
    before ?? Number.MAX_SAFE_INTEGER,
    LOOKED_AT_A_CALL + 1,
  )
  const { hits, next } = hitsOf(notTakenBack(bulkRevocations(sql), looked), limit)
  const rows = sql.exec<CredentialRow>(
    'SELECT * FROM credentials WHERE seq IN (SELECT value FROM json_each(?)) ORDER BY seq DESC',
    JSON.stringify(hits),
  )
  return { items: rows.toArray().map(credentialView), next }
}

/** One row after the other: what the page does not need is not read. */
function* notTakenBack(bulk: readonly BulkRevocation[], rows: Iterable<LookedAt>): Generator<[number, number]> {
  for (const row of rows) yield [row.seq, isTakenBack(bulk, row) ? 0 : row.hit]
}
