/** Reads an object's audit trail: filtered, in pages, newest first. */
import type { AuditEventView, AuditFilter } from '../contract/resources/auditEvents.ts'
import { instant } from '../contract/values.ts'
import { hitsOf, LOOKED_AT_A_CALL, paged } from './paging.ts'

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

/** A page, newest first. With a filter at most `LOOKED_AT_A_CALL` rows are looked at: a page may be empty and have a next one. */
export function readAuditTrail(sql: SqlStorage, page: AuditPage): { items: AuditEventView[]; next: number | null } {
  const filters = Object.entries(page.filter) as [keyof AuditFilter, string][] // the contract's own keys
  const before = page.before ?? Number.MAX_SAFE_INTEGER
  if (filters.length === 0) {
    const rows = sql.exec<AuditRow>(
      'SELECT * FROM audit_events WHERE seq < ? ORDER BY seq DESC LIMIT ?',
      before,
      page.limit + 1,
    )
    return paged(rows.toArray(), page.limit, viewOf)
  }
  const hit = filters.map(([name]) => `${COLUMNS[name]} IS ?`).join(' AND ')
  const looked = sql.exec(
    `SELECT seq, ${hit} AS hit FROM audit_events WHERE seq < ? ORDER BY seq DESC LIMIT ?`,
    ...filters.map(([, value]) => value),
    before,
    LOOKED_AT_A_CALL + 1,
  )
  const { hits, next } = hitsOf(looked.raw(), page.limit)
  const rows = sql.exec<AuditRow>(
    'SELECT * FROM audit_events WHERE seq IN (SELECT value FROM json_each(?)) ORDER BY seq DESC',
    JSON.stringify(hits),
  )
  return { items: rows.toArray().map(viewOf), next }
}

const viewOf = ({ at, subject_id, request_id, ...row }: AuditRow): AuditEventView => ({
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
})
