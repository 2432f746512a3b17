/** One row of the audit trail for a change that a caller of this room made. Inside its transaction. */
import { actorOf } from '../../auth/caller.ts'
import type { AuditAction } from '../../contract/resources/auditEvents.ts'
import type { Call } from '../../rpc/calls.ts'
import { audit } from '../../storage/audit.ts'
import type { TenantContext } from '../core/context.ts'

export function auditDone(
  ctx: TenantContext,
  call: Call,
  what: { action: AuditAction; target: string; subjectId: string | null },
): void {
  audit(ctx.sql, ctx.now(), { actor: actorOf(call.caller), outcome: 'done', requestId: call.requestId, ...what })
}
