/** Subjects as callers see them: found, erased. */
import { BrokerError } from '../../errors.ts'
import type { Call } from '../../rpc/calls.ts'
import { authorize } from '../core/authorization.ts'
import type { TenantContext } from '../core/context.ts'
import { beginRevoking, ofSubject } from '../ledger/revocation.ts'
import { findSubject, findSubjectId } from '../ledger/subjects.ts'
import { record } from './record.ts'

export function searchSubject(ctx: TenantContext, call: Call & { readonly subject: string }): { subjectId: string } {
  authorize(ctx, call.caller, 'credentials:read')
  const row = findSubject(ctx.sql, call.subject)
  if (!row) throw new BrokerError('not_found', { detail: 'No such subject.' })
  return { subjectId: row.id }
}

/** Revokes what the subject has, then forgets its name: what is left of it is an id that leads nowhere. */
export function eraseSubject(ctx: TenantContext, call: Call & { readonly subjectId: string }): void {
  ctx.transact(() => {
    authorize(ctx, call.caller, 'credentials:revoke')
    if (!findSubjectId(ctx.sql, call.subjectId)) throw new BrokerError('not_found', { detail: 'No such subject.' })
    beginRevoking(ctx, ofSubject(call.subjectId), null)
    ctx.sql.exec('DELETE FROM subjects WHERE id = ?', call.subjectId)
    record(ctx, call, { action: 'subject.erase', target: call.subjectId, subjectId: call.subjectId })
  })
}
