/** Subjects as callers reach them: searched by name, erased by id. */
import { BrokerError } from '../../errors.ts'
import type { Call } from '../../rpc/calls.ts'
import { authorize } from '../core/authorization.ts'
import type { TenantContext } from '../core/context.ts'
import { beginRevoking, ofSubject } from '../ledger/revocation.ts'
import { deleteSubject, findSubject, findSubjectId } from '../ledger/subjects.ts'
import { auditDone } from './auditDone.ts'

export function searchSubject(ctx: TenantContext, call: Call & { readonly subject: string }): { subjectId: string } {
  authorize(ctx, call.caller, 'credentials:read')
  const row = findSubject(ctx.sql, call.subject)
  if (!row) throw new BrokerError('not_found', { detail: 'No such subject.' })
  return { subjectId: row.id }
}

/** Revokes the subject's credentials and deletes its name: the id that stays on the trail leads to no person. */
export function eraseSubject(ctx: TenantContext, call: Call & { readonly subjectId: string }): void {
  ctx.transact(() => {
    authorize(ctx, call.caller, 'credentials:revoke')
    if (!findSubjectId(ctx.sql, call.subjectId)) throw new BrokerError('not_found', { detail: 'No such subject.' })
    beginRevoking(ctx, ofSubject(call.subjectId), null)
    deleteSubject(ctx.sql, call.subjectId)
    auditDone(ctx, call, { action: 'subject.erase', target: call.subjectId, subjectId: call.subjectId })
  })
}
