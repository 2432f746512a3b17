/** Reading what was recorded: live credentials and the audit trail, page by page, newest first. */
import type { AuditEventView, AuditFilter } from '../contract/auditEvents.ts'
import type { CredentialView } from '../contract/credentials.ts'
import { instant } from '../contract/values.ts'
import { paged } from '../storage/paging.ts'
import { authorize } from './authority.ts'
import { type CredentialRow, viewOfCredential } from './credentialRows.ts'
import type { Call, Page, TenantParts } from './parts.ts'

export function listCredentials(
  parts: TenantParts,
  call: Call & Page & { readonly subjectId: string | null; readonly keyId: string | null },
): { items: CredentialView[]; next: number | null } {
  authorize(parts, call.caller, 'credentials:read')
  const rows = parts.sql
    .exec<CredentialRow>(
      `SELECT * FROM credentials
       WHERE state = 'live' AND expires_at > ? AND seq < ? AND (? IS NULL OR subject_id = ?) AND (? IS NULL OR key_uid = ?)
       ORDER BY seq DESC LIMIT ?`,
      parts.now(),
      call.before ?? Number.MAX_SAFE_INTEGER,
      call.subjectId,
      call.subjectId,
      call.keyId,
      call.keyId,
      call.limit + 1,
    )
    .toArray()
  return paged(rows, call.limit, viewOfCredential)
}

interface AuditRow extends Record<string, SqlStorageValue> {
  seq: number
  at: number
  actor: string
  action: string
  target: string | null
  subject_id: string | null
  outcome: string
  code: string | null
  count: number
  request_id: string | null
  origin: string | null
  digest: string | null
}

/** The columns behind the filters: names of ours, so that nothing a caller sends becomes SQL. */
const COLUMNS: Readonly<Record<keyof AuditFilter, string>> = {
  actor: 'actor',
  action: 'action',
  target: 'target',
  outcome: 'outcome',
  code: 'code',
  subjectId: 'subject_id',
}

export function listAuditEvents(
  parts: TenantParts,
  call: Call & Page & { readonly filter: AuditFilter },
): { items: AuditEventView[]; next: number | null } {
  authorize(parts, call.caller, 'audit:read')
  const given = Object.entries(call.filter) as [keyof AuditFilter, string][] // the contract's own keys
  const where = ['seq < ?', ...given.map(([name]) => `${COLUMNS[name]} = ?`)].join(' AND ')
  const rows = parts.sql
    .exec<AuditRow>(
      `SELECT * FROM audit_events WHERE ${where} ORDER BY seq DESC LIMIT ?`,
      call.before ?? Number.MAX_SAFE_INTEGER,
      ...given.map(([, value]) => value),
      call.limit + 1,
    )
    .toArray()
  return paged(rows, call.limit, ({ at, subject_id, request_id, ...row }) => ({
    seq: row.seq,
    at: instant(at),
    actor: row.actor,
    action: row.action,
    target: row.target,
    subjectId: subject_id,
    outcome: row.outcome,
    code: row.code,
    count: row.count,
    requestId: request_id,
    origin: row.origin,
    digest: row.digest,
  }))
}
