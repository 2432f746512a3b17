/** Shape of audit events. Ids and outcomes; never a secret, never a subject's name. */
export const AUDIT_FILTERS = ['actor', 'action', 'target', 'outcome', 'code', 'subjectId'] as const
export type AuditFilter = Partial<Record<(typeof AUDIT_FILTERS)[number], string>>

export type AuditEventView = {
  /** Increases by one with every event of the tenant. */
  seq: number
  at: string
  actor: string
  action: string
  target: string | null
  subjectId: string | null
  outcome: string
  code: string | null
  /** How many events this row stands for: refusals of the same asker, subject and code are one row a minute. */
  count: number
  requestId: string | null
  origin: string | null
  /** HMAC of the issued username. */
  digest: string | null
}
