/** Reads an object's audit trail: filtered, in pages, newest first. */
import type { AuditEventView, AuditFilter } from '../contract/resources/auditEvents.ts'
import { instant } from '../contract/values.ts'
import { paged } from './paging.ts'

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

/** Column of each filter. Constant names, so that no text of a caller becomes SQL. */
const COLUMNS: Readonly<Record<keyof AuditFilter, string>> = {
  actor: 'actor',
  action: 'action',
  target: 'target',
  outcome: 'outcome',
  code: 'code',
  subjectId: 'subject_id',
}

export interface AuditPage {
  /** The last sequence number of the previous page; `null`: first page. */
  readonly before: number | null
  readonly limit: number
  readonly filter: AuditFilter
}

export function readAuditTrail(sql: SqlStorage, page: AuditPage): { items: AuditEventView[]; next: number | null } {
  const filters = Object.entries(page.filter) as [keyof AuditFilter, string][] // the contract's own keys
  const where = ['seq < ?', ...filters.map(([name]) => `${COLUMNS[name]} = ?`)].join(' AND ')
  const rows = sql
    .exec<AuditRow>(
      `SELECT * FROM audit_events WHERE ${where} ORDER BY seq DESC LIMIT ?`,
      page.before ?? Number.MAX_SAFE_INTEGER,
      ...filters.map(([, value]) => value),
      page.limit + 1,
    )
    .toArray()
  return paged(rows, page.limit, ({ at, subject_id, request_id, ...row }) => ({
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
