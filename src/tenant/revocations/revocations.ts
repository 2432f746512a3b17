/** Revocations and bans as resources, and what is known of a subject. What revoking does is revoking.ts. */
import type { RevocationCreate, RevocationView } from '../../contract/resources/revocations.ts'
import { instant } from '../../contract/values.ts'
import { newId } from '../../crypto/ids.ts'
import { BrokerError } from '../../errors.ts'
import type { Call } from '../../rpc/calls.ts'
import type { IdempotencyKey } from '../../storage/idempotency.ts'
import { authorize } from '../core/authorization.ts'
import type { TenantContext } from '../core/context.ts'
import { beginRevoking, everything, ofCredential, ofKey, ofSubject, type Selection } from '../ledger/revocation.ts'
import { findSubject } from '../ledger/subjects.ts'
import { insertBan } from './bans.ts'
import { record } from './record.ts'

const ROUTE = 'revocations'

interface RevocationRow extends Record<string, SqlStorageValue> {
  seq: number
  id: string
  selector: string
  matched: number
  revoked: number
  expired: number
  created_at: number
}

export function createRevocation(
  ctx: TenantContext,
  call: Call & { readonly input: RevocationCreate; readonly idempotency: IdempotencyKey | undefined },
): RevocationView {
  const { input, idempotency } = call
  return ctx.transact(() => {
    authorize(ctx, call.caller, 'credentials:revoke')
    const earlier = idempotency && ctx.idempotency.find(ROUTE, idempotency)
    if (earlier) return viewOf(existing(ctx, earlier.target))
    const id = newId('rv')
    if (input.subject !== undefined && input.banUntil !== undefined) {
      insertBan(ctx, { subject: input.subject, until: input.banUntil }, 'banUntil')
    }
    const { shown, selection } = select(ctx, input)
    const { seq } = ctx.sql
      .exec<{ seq: number }>(
        'INSERT INTO revocations (id, selector, matched, created_at) VALUES (?, ?, 0, ?) RETURNING seq',
        id,
        JSON.stringify(shown),
        ctx.now(),
      )
      .one()
    const matched = selection ? beginRevoking(ctx, selection, seq) : 0
    ctx.sql.exec('UPDATE revocations SET matched = ? WHERE seq = ?', matched, seq)
    if (idempotency) ctx.idempotency.begin(ROUTE, idempotency, id)
    record(ctx, call, {
      action: 'revocation.create',
      target: id,
      subjectId: 'subjectId' in shown ? shown.subjectId : null,
    })
    return viewOf(existing(ctx, id))
  })
}

export function getRevocation(ctx: TenantContext, call: Call & { readonly id: string }): RevocationView {
  authorize(ctx, call.caller, 'credentials:revoke')
  return viewOf(existing(ctx, call.id))
}

function select(
  ctx: TenantContext,
  input: RevocationCreate,
): { shown: RevocationView['selector']; selection: Selection | undefined } {
  if (input.keyId !== undefined) return { shown: { keyId: input.keyId }, selection: ofKey(input.keyId) }
  if (input.credentialId !== undefined) {
    return { shown: { credentialId: input.credentialId }, selection: ofCredential(input.credentialId) }
  }
  if (input.subject === undefined) return { shown: { all: true }, selection: everything }
  // Also of a subject whose first mint is still in flight and has no row yet.
  const subjectId = findSubject(ctx.sql, input.subject)?.id ?? ctx.memory.subjectIdInFlight(input.subject)
  return {
    shown: { subjectId: subjectId ?? null },
    selection: subjectId === undefined ? undefined : ofSubject(subjectId),
  }
}

function existing(ctx: TenantContext, id: string): RevocationRow {
  const [row] = ctx.sql.exec<RevocationRow>('SELECT * FROM revocations WHERE id = ?', id).toArray()
  if (!row) throw new BrokerError('not_found', { detail: 'No such revocation.' })
  return row
}

function viewOf(row: RevocationRow): RevocationView {
  const pending = row.matched - row.revoked - row.expired
  return {
    id: row.id,
    selector: JSON.parse(row.selector) as RevocationView['selector'], // written by createRevocation only
    matched: row.matched,
    revoked: row.revoked,
    pending,
    expired: row.expired,
    state: pending > 0 ? 'running' : 'done',
    createdAt: instant(row.created_at),
  }
}
