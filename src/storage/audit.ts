/**
 * Writes the audit trail of an object: one row a decision, in the transaction of the decision. Ids and outcomes only;
 * must not store a secret or a subject's name. docs/storage.md lists actions and fields.
 */
import type { AuditAction } from '../contract/resources/auditEvents.ts'

export const AUDIT_TABLE = `
  CREATE TABLE audit_events (
    seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL, target TEXT,
    subject_id TEXT, outcome TEXT NOT NULL, code TEXT, count INTEGER NOT NULL DEFAULT 1,
    request_id TEXT, origin TEXT, digest TEXT
  );`

export interface AuditEvent {
  /** `admin:…`, `api-token:{id}`, or `broker` for a job. */
  readonly actor: string
  readonly action: AuditAction
  readonly target?: string | undefined
  readonly outcome: 'begun' | 'done' | 'refused' | 'failed' | 'unknown'
  /** The error code of a refusal or failure. */
  readonly code?: string | undefined
  readonly requestId?: string | undefined
  readonly subjectId?: string | null | undefined
  /** The web origin that got a credential. */
  readonly origin?: string | null | undefined
  /** HMAC of the issued username. */
  readonly digest?: string | undefined
}

/** Writes the row; its `seq`, which is greater than that of every row before. */
export const audit = (sql: SqlStorage, at: number, event: AuditEvent): number =>
  sql
    .exec<{ seq: number }>(
      `INSERT INTO audit_events (at, actor, action, target, outcome, code, request_id, subject_id, origin, digest)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING seq`,
      at,
      event.actor,
      event.action,
      event.target ?? null,
      event.outcome,
      event.code ?? null,
      event.requestId ?? null,
      event.subjectId ?? null,
      event.origin ?? null,
      event.digest ?? null,
    )
    .one().seq

/** How many equal events a row stands for. */
export function setAuditCount(sql: SqlStorage, seq: number, count: number): void {
  sql.exec('UPDATE audit_events SET count = ? WHERE seq = ?', count, seq)
}

/**
 * Deletes the oldest rows, `atMost` of them: those from before a time (milliseconds since 1970), and those beyond a number of
 * rows. When the newest row is too old as well, an event of the pruning takes its place: SQLite numbers the next row from the newest
 * one, so that no number is given twice. Answers how many were deleted.
 */
export function pruneAuditTrail(
  sql: SqlStorage,
  {
    now,
    before,
    keptRows,
    atMost,
  }: { readonly now: number; readonly before: number; readonly keptRows: number; readonly atMost: number },
): number {
  const { newest } = sql.exec<{ newest: number | null }>('SELECT max(seq) AS newest FROM audit_events').one()
  // Sequence and time grow together: the oldest rows are the first ones.
  let [last, past] = [0, 0]
  for (const { seq, at } of sql.exec<{ seq: number; at: number }>(
    'SELECT seq, at FROM audit_events ORDER BY seq LIMIT ?',
    atMost,
  )) {
    // The first row that is kept ends the reading.
    if (at >= before && seq > (newest ?? 0) - keptRows) break
    last = seq
    past++
  }
  if (past === 0) return 0
  if (last === newest) audit(sql, now, { actor: 'broker', action: 'audit_trail.prune', outcome: 'done' })
  sql.exec('DELETE FROM audit_events WHERE seq <= ?', last)
  return past
}
