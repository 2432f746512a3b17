/** Subjects as callers see them: found, erased. */
import { BrokerError } from '../../errors.ts'
import type { Call } from '../../rpc/calls.ts'
import { authorize } from '../core/authorization.ts'
import type { TenantParts } from '../core/context.ts'
import { ofSubject, takeBack } from '../ledger/revocation.ts'
import { findSubject, findSubjectId } from '../ledger/subjects.ts'
import { record } from './record.ts'

export function searchSubject(parts: TenantParts, call: Call & { readonly subject: string }): { subjectId: string } {
  authorize(parts, call.caller, 'credentials:read')
  const row = findSubject(parts.sql, call.subject)
  if (!row) throw new BrokerError('not_found', { detail: 'No such subject.' })
  return { subjectId: row.id }
}

/** Revokes what the subject has, then forgets its name: what is left of it is an id that leads nowhere. */
export function eraseSubject(parts: TenantParts, call: Call & { readonly subjectId: string }): void {
  parts.transact(() => {
    authorize(parts, call.caller, 'credentials:revoke')
    if (!findSubjectId(parts.sql, call.subjectId)) throw new BrokerError('not_found', { detail: 'No such subject.' })
    takeBack(parts, ofSubject(call.subjectId), null)
    parts.sql.exec('DELETE FROM subjects WHERE id = ?', call.subjectId)
    record(parts, call, { action: 'subject.erase', target: call.subjectId, subjectId: call.subjectId })
  })
}
