/** Subjects as callers reach them: searched by name, erased by id. */
import { actorOf } from '../../auth/caller.ts'
import { BrokerError } from '../../errors.ts'
import type { Call } from '../../rpc/calls.ts'
import { authorize } from '../core/authorization.ts'
import type { TenantContext } from '../core/context.ts'
import { erase } from '../ledger/erasures.ts'
import { findSubject } from '../ledger/subjects.ts'

export function searchSubject(ctx: TenantContext, call: Call & { readonly subject: string }): { subjectId: string } {
  authorize(ctx, call.caller, 'credentials:read')
  const row = findSubject(ctx.sql, call.subject)
  if (!row) throw new BrokerError('not_found', { detail: 'No such subject.' })
  return { subjectId: row.id }
}

/**
 * Revokes the subject's credentials and deletes its name: the id that stays on the trail leads to no person. The Account need
 * not be there: it is told by a job, and before any restore.
 */
export function eraseSubject(ctx: TenantContext, call: Call & { readonly subjectId: string }): void {
  ctx.transact(() => {
    authorize(ctx, call.caller, 'credentials:revoke')
    const by = { actor: actorOf(call.caller), requestId: call.requestId }
    if (!erase(ctx, call.subjectId, by)) throw new BrokerError('not_found', { detail: 'No such subject.' })
  })
}
