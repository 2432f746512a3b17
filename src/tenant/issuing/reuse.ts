/**
 * Answers from the ledger: finds a credential that the subject was given before and is as good as a new one, and hands
 * it out again. Mints nothing.
 */
import { chooseUrls } from '../../cloudflare/iceUrls.ts'
import type { Issued, IssueRequest } from '../../rpc/issuing.ts'
import type { ReadContext, TenantContext } from '../core/context.ts'
import { type CredentialRow, liveCredentialById } from '../ledger/credentialRows.ts'
import { openPassword } from '../ledger/password.ts'
import { newestOfSubject, walkOfSubject } from '../ledger/reusable.ts'
import { urlList } from '../ledger/urlLists.ts'
import { type Eligibility, type Grant, recheckEligibility } from './eligibility.ts'
import { recordRepeat } from './reuseAudit.ts'

/** What handing a credential out again needs of the Tenant. */
export type ReuseContext = ReadContext & Pick<TenantContext, 'config' | 'transact' | 'memory'>

/** A credential with less left than this is no help in an outage. */
const LEAST_LEFT_MS = 5_000

/**
 * A live credential of the same subject, key and origin. It has no more left than is granted, and at least half of that and
 * half of its own life. Without one: how many live credentials the subject has, in this tick.
 */
export function findReusable(
  ctx: ReadContext,
  { origin }: IssueRequest,
  { subjectId, key, grantedTtlSeconds }: Grant,
): ReturnType<typeof walkOfSubject> {
  if (subjectId === null) return { live: 0 }
  const now = ctx.now()
  return walkOfSubject(ctx.sql, {
    subjectId,
    keyUid: key.uid,
    origin,
    now,
    expiresFrom: now + grantedTtlSeconds * 500,
    expiresUntil: now + grantedTtlSeconds * 1_000,
  })
}

/** In an outage: the subject's credential with the most left, within the ceiling of the asker. */
export function findOutageCredential(
  ctx: ReadContext,
  request: IssueRequest,
  { subjectId, ttlCeilingSeconds }: Eligibility,
): CredentialRow | undefined {
  if (subjectId === null) return
  const now = ctx.now()
  return newestOfSubject(ctx.sql, {
    subjectId,
    lineageOf: request.keyId,
    origin: request.origin,
    expiresFrom: now + LEAST_LEFT_MS,
    expiresUntil: now + ttlCeilingSeconds * 1_000,
  })
}

/**
 * Hands a credential of the ledger out again. `found`: its row, read in this tick. `undefined`: the credential is not live any
 * more, its password does not open, or it has more left than the asker may have. Throws the refusal if the asker may have none
 * by now.
 */
export async function reuse(
  ctx: ReuseContext,
  request: IssueRequest,
  found: CredentialRow,
): Promise<Issued | undefined> {
  const { id, username, sealed, sealed_version: version } = found
  const password = sealed === null ? undefined : await openPassword(ctx, { username, version }, sealed)
  const row = liveCredentialById(ctx.sql, id, ctx.now())
  if (password === undefined || !row) return
  const rechecked = recheckEligibility(ctx, request)
  if (row.expires_at > ctx.now() + rechecked.ttlCeilingSeconds * 1_000) return
  recordRepeat(ctx, {
    credentialId: id,
    actor: rechecked.actor,
    subjectId: row.subject_id,
    requestId: request.requestId,
    origin: request.origin,
  })
  return {
    source: 'reused',
    id,
    username,
    credential: password,
    urls: chooseUrls(urlList(ctx.sql, row.url_list), rechecked.policy.urls),
    issuedAt: row.issued_at,
    expiresAt: row.expires_at,
  }
}
