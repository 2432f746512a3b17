/** The tenant's audit trail as it is read. */
import type { AuditEventView } from '../../contract/resources/auditEvents.ts'
import type { Call } from '../../rpc/calls.ts'
import { type AuditPage, readAuditTrail } from '../../storage/auditTrail.ts'
import { authorize } from '../core/authorization.ts'
import type { TenantContext } from '../core/context.ts'

export function listAuditEvents(
  ctx: TenantContext,
  call: Call & AuditPage,
): { items: AuditEventView[]; next: number | null } {
  authorize(ctx, call.caller, 'audit:read')
  return readAuditTrail(ctx.sql, call)
}
