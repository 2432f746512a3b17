/** Answering from the ledger: a credential the subject was given before, while it is as good as a new one. */
import { chooseUrls } from '../../cloudflare/iceUrls.ts'
import { open } from '../../crypto/seal.ts'
import type { Issued, IssueRequest } from '../../rpc/issuing.ts'
import { audit } from '../../storage/audit.ts'
import type { TenantParts } from '../core/context.ts'
import { tenantRecord } from '../core/tenantRow.ts'
import { type CredentialRow, credentialById, urlList } from '../ledger/credentialRows.ts'
import { findSubject } from '../ledger/subjects.ts'
import { countUsage } from '../ledger/usage.ts'
import { OF_LINE } from '../turnKeys/lineage.ts'
import { type Standing, standing, ttlCeiling } from './eligibility.ts'

/** A credential with less left than this is no help in an outage. */
const LEAST_LEFT_MS = 5_000

/**
 * The id of a live credential of the same subject, key and origin, with no more left than is asked, and at least half of
 * both what is asked and its own life.
 */
export function reusable(
  parts: TenantParts,
  request: IssueRequest,
  grounds: Standing,
  ttl: number,
): string | undefined {
  const subjectId = subjectIdOf(parts, request)
  if (subjectId === undefined) return
  const now = parts.now()
  const [row] = parts.sql
    .exec<{ id: string }>(
      `SELECT id FROM credentials
       WHERE subject_id = ? AND expires_at BETWEEN ? AND ? AND state = 'live' AND key_uid = ? AND origin IS ?
         AND sealed IS NOT NULL AND (expires_at - ?) * 2 >= expires_at - issued_at
       ORDER BY expires_at DESC LIMIT 1`,
      subjectId,
      now + ttl * 500,
      now + ttl * 1_000,
      grounds.key.uid,
      request.origin,
      now,
    )
    .toArray()
  return row?.id
}

/** In an outage: the subject's credential with the most left, within what the asker may have at all. */
export function survivor(parts: TenantParts, request: IssueRequest): string | undefined {
  const subjectId = subjectIdOf(parts, request)
  if (subjectId === undefined) return
  const now = parts.now()
  const ceiling = ttlCeiling(standing(parts, request).policy, request)
  const [row] = parts.sql
    .exec<{ id: string }>(
      `SELECT id FROM credentials
       WHERE subject_id = ? AND expires_at BETWEEN ? AND ? AND state = 'live' AND origin IS ? AND sealed IS NOT NULL
         AND (? IS NULL OR ${OF_LINE})
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
export async function reuse(parts: TenantParts, request: IssueRequest, id: string): Promise<Issued | undefined> {
  const password = await passwordOf(parts, id)
  const row = liveRow(parts, id)
  if (password === undefined || !row) return
  const { policy, actor } = standing(parts, request)
  if (row.expires_at > parts.now() + ttlCeiling(policy, request) * 1_000) return
  parts.transact(() => {
    const now = parts.now()
    countUsage(parts.sql, now, 'reused')
    audit(parts.sql, now, {
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
    urls: chooseUrls(urlList(parts.sql, row.url_list), policy.urls),
    issuedAt: row.issued_at,
    expiresAt: row.expires_at,
  }
}

async function passwordOf(parts: TenantParts, id: string): Promise<string | undefined> {
  const row = liveRow(parts, id)
  if (!row?.sealed) return
  const { id: tenant } = tenantRecord(parts)
  const place = { purpose: 'ice-password', tenant, record: id, version: row.sealed_version } as const
  return open(parts.config.rootKeys, place, row.sealed)
}

function liveRow(parts: TenantParts, id: string): CredentialRow | undefined {
  const row = credentialById(parts.sql, id)
  return row?.state === 'live' && row.expires_at > parts.now() ? row : undefined
}

const subjectIdOf = (parts: TenantParts, { subject }: IssueRequest): string | undefined =>
  subject === null ? undefined : findSubject(parts.sql, subject)?.id
