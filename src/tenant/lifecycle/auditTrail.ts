/** The tenant's audit trail as it is read. */
import type { AuditEventView } from '../../contract/resources/auditEvents.ts'
import type { Call } from '../../rpc/calls.ts'
import { type AuditPage, readAuditTrail } from '../../storage/auditTrail.ts'
import { authorize } from '../core/authorization.ts'
import type { TenantParts } from '../core/context.ts'

export function listAuditEvents(
  parts: TenantParts,
  call: Call & AuditPage,
): { items: AuditEventView[]; next: number | null } {
  authorize(parts, call.caller, 'audit:read')
  return readAuditTrail(parts.sql, call)
}
