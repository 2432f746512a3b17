/** Shape of audit events. Ids and outcomes; never a secret, never a subject's name. */
import type { AUDIT_FILTERS } from '../routes.ts'

export type AuditFilter = Partial<Record<(typeof AUDIT_FILTERS)[number], string>>

/** What a row of the audit trail records. docs/storage.md says when each is written, and by which object. */
export type AuditAction =
  | 'tenant.create'
  | 'tenant.deleted'
  | 'tenant.restore'
  | 'account.sweep'
  | 'root_key.reseal'
  | 'token_check.replace'
  | 'tenant.update'
  | 'tenant.delete'
  | 'issuer.check'
  | 'api_token.create'
  | 'api_token.roll'
  | 'api_token.delete'
  | 'turn_key.create'
  | 'turn_key.rotate'
  | 'turn_key.import'
  | 'turn_key.reveal'
  | 'turn_key.rename'
  | 'turn_key.delete'
  | 'turn_key.deleted'
  | 'turn_key.missing'
  | 'turn_key.found'
  | 'turn_key.undo'
  | 'turn_key.give_up'
  | 'client_token.create'
  | 'credential.issue'
  | 'credential.reuse'
  | 'credential.revoke'
  | 'credential.revoked'
  | 'revocation.create'
  | 'ban.create'
  | 'ban.lift'
  | 'subject.erase'
  | 'audit_trail.prune'

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
