/** Revocations as resources. The revoking itself is ledger/revocation.ts. */
import type { RevocationCreate, RevocationView } from '../../contract/resources/revocations.ts'
import { instant } from '../../contract/values.ts'
import { newId } from '../../crypto/ids.ts'
import { BrokerError } from '../../errors.ts'
import type { Call } from '../../rpc/calls.ts'
import type { IdempotencyKey } from '../../storage/idempotency.ts'
import { authorize } from '../core/authorization.ts'
import type { TenantContext } from '../core/context.ts'
import { beginRevoking, everything, ofCredential, ofKey, ofSubject, type Selection } from '../ledger/revocation.ts'
import { countOpenBulk, insertRevocation, revocationById, setMatched } from '../ledger/revocationRows.ts'
import { findSubject } from '../ledger/subjects.ts'
import { auditDone } from './auditDone.ts'
import { insertBan } from './bans.ts'
import { requireRoomForRevocation } from './caps.ts'

const ROUTE = 'revocations'
/** Each confirmation counts on every bulk revocation that waits for it, so their number is bounded. */
const MAX_OPEN_BULK = 20

export function createRevocation(
  ctx: TenantContext,
  call: Call & { readonly input: RevocationCreate; readonly idempotency: IdempotencyKey | undefined },
): RevocationView {
  const { input, idempotency } = call
  return ctx.transact(() => {
    authorize(ctx, call.caller, 'credentials:revoke')
    const earlier = idempotency && ctx.idempotency.find(ROUTE, idempotency)
    if (earlier) return view(ctx, earlier.target)
    requireFewBulk(ctx, input)
    requireRoomForRevocation(ctx)
    const id = newId('rv')
    if (input.subject !== undefined && input.banUntil !== undefined) {
      insertBan(ctx, { subject: input.subject, until: input.banUntil }, 'banUntil')
    }
    const { shown, selection } = select(ctx, input)
    const seq = insertRevocation(ctx.sql, id, shown, ctx.now())
    setMatched(ctx.sql, seq, selection ? beginRevoking(ctx, selection, seq) : 0)
    if (idempotency) ctx.idempotency.begin(ROUTE, idempotency, id)
    auditDone(ctx, call, {
      action: 'revocation.create',
      target: id,
      subjectId: 'subjectId' in shown ? shown.subjectId : null,
    })
    return view(ctx, id)
  })
}

export function getRevocation(ctx: TenantContext, call: Call & { readonly id: string }): RevocationView {
  authorize(ctx, call.caller, 'credentials:revoke')
  return view(ctx, call.id)
}

function requireFewBulk(ctx: TenantContext, { keyId, credentialId, subject }: RevocationCreate): void {
  const isBulk = keyId !== undefined || (credentialId === undefined && subject === undefined)
  if (!isBulk || countOpenBulk(ctx.sql, ctx.now()) < MAX_OPEN_BULK) return
  const detail = `At most ${MAX_OPEN_BULK} revocations of a whole TURN key or tenant are carried out at once.`
  throw new BrokerError('conflict', { detail })
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
  // A subject whose first mint is in flight has no row yet.
  const subjectId = findSubject(ctx.sql, input.subject)?.id ?? ctx.memory.subjectIdInFlight(input.subject)
  return {
    shown: { subjectId: subjectId ?? null },
    selection: subjectId === undefined ? undefined : ofSubject(subjectId),
  }
}

function view(ctx: TenantContext, id: string): RevocationView {
  const row = revocationById(ctx.sql, id)
  if (!row) throw new BrokerError('not_found', { detail: 'No such revocation.' })
  // The expired ones of a bulk revocation are counted when their rows are pruned: at its end the rest has expired.
  const isOver = row.last_expiry !== null && row.last_expiry <= ctx.now()
  const expired = isOver ? row.matched - row.revoked : row.expired
  const pending = row.matched - row.revoked - expired
  return {
    id: row.id,
    selector: JSON.parse(row.selector) as RevocationView['selector'], // written by createRevocation only
    matched: row.matched,
    revoked: row.revoked,
    pending,
    expired,
    state: pending > 0 ? 'running' : 'done',
    createdAt: instant(row.created_at),
  }
}
