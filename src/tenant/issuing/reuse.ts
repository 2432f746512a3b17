/** Answering from the ledger: a credential the subject was given before, while it is as good as a new one. */
import { chooseUrls } from '../../cloudflare/iceUrls.ts'
import type { Issued, IssueRequest } from '../../rpc/issuing.ts'
import { audit } from '../../storage/audit.ts'
import type { TenantContext } from '../core/context.ts'
import { type CredentialRow, credentialById, urlList } from '../ledger/credentialRows.ts'
import { openPassword } from '../ledger/password.ts'
import { findSubject } from '../ledger/subjects.ts'
import { countUsage } from '../ledger/usage.ts'
import { OF_LINEAGE } from '../turnKeys/lineage.ts'
import { checkEligibility, type Eligibility, ttlCeilingSeconds } from './eligibility.ts'

/** A credential with less left than this is no help in an outage. */
const LEAST_LEFT_MS = 5_000

/**
 * The id of a live credential of the same subject, key and origin, with no more left than is asked, and at least half of
 * both what is asked and its own life.
 */
export function findReusable(
  ctx: TenantContext,
  request: IssueRequest,
  eligibility: Eligibility,
  ttl: number,
): string | undefined {
  const subjectId = subjectIdOf(ctx, request)
  if (subjectId === undefined) return
  const now = ctx.now()
  const [row] = ctx.sql
    .exec<{ id: string }>(
      `SELECT id FROM credentials
       WHERE subject_id = ? AND expires_at BETWEEN ? AND ? AND state = 'live' AND key_uid = ? AND origin IS ?
         AND sealed IS NOT NULL AND (expires_at - ?) * 2 >= expires_at - issued_at
       ORDER BY expires_at DESC LIMIT 1`,
      subjectId,
      now + ttl * 500,
      now + ttl * 1_000,
      eligibility.key.uid,
      request.origin,
      now,
    )
    .toArray()
  return row?.id
}

/** In an outage: the subject's credential with the most left, within what the asker may have at all. */
export function findOutageCredential(ctx: TenantContext, request: IssueRequest): string | undefined {
  const subjectId = subjectIdOf(ctx, request)
  if (subjectId === undefined) return
  const now = ctx.now()
  const ceiling = ttlCeilingSeconds(checkEligibility(ctx, request).policy, request)
  const [row] = ctx.sql
    .exec<{ id: string }>(
      `SELECT id FROM credentials
       WHERE subject_id = ? AND expires_at BETWEEN ? AND ? AND state = 'live' AND origin IS ? AND sealed IS NOT NULL
         AND (? IS NULL OR ${OF_LINEAGE})
       ORDER BY expires_at DESC LIMIT 1`,
      subjectId,
      now + LEAST_LEFT_MS,
      now + ceiling * 1_000,
      request.origin,
      request.keyId,
      request.keyId,
    )
    .toArray()
  return row?.id
}

/** Hands a ledger credential out again; `undefined` when it cannot be any more. Throws if the asker may not have it now. */
export async function reuse(ctx: TenantContext, request: IssueRequest, id: string): Promise<Issued | undefined> {
  const password = await passwordOf(ctx, id)
  const row = liveRow(ctx, id)
  if (password === undefined || !row) return
  const { policy, actor } = checkEligibility(ctx, request)
  if (row.expires_at > ctx.now() + ttlCeilingSeconds(policy, request) * 1_000) return
  ctx.transact(() => {
    const now = ctx.now()
    countUsage(ctx.sql, now, 'reused')
    audit(ctx.sql, now, {
      actor,
      action: 'credential.reuse',
      target: id,
      subjectId: row.subject_id,
      outcome: 'done',
      requestId: request.requestId,
      origin: request.origin,
    })
  })
  return {
    source: 'reused',
    id,
    username: row.username,
    credential: password,
    urls: chooseUrls(urlList(ctx.sql, row.url_list), policy.urls),
    issuedAt: row.issued_at,
    expiresAt: row.expires_at,
  }
}

async function passwordOf(ctx: TenantContext, id: string): Promise<string | undefined> {
  const row = liveRow(ctx, id)
  if (!row?.sealed) return
  return openPassword(ctx, { id, version: row.sealed_version }, row.sealed)
}

function liveRow(ctx: TenantContext, id: string): CredentialRow | undefined {
  const row = credentialById(ctx.sql, id)
  return row?.state === 'live' && row.expires_at > ctx.now() ? row : undefined
}

const subjectIdOf = (ctx: TenantContext, { subject }: IssueRequest): string | undefined =>
  subject === null ? undefined : findSubject(ctx.sql, subject)?.id
