/** Bans as resources: created, listed and lifted by callers. */
import type { BanCreate, BanView } from '../../contract/resources/revocations.ts'
import { instant } from '../../contract/values.ts'
import { BrokerError } from '../../errors.ts'
import type { Call, Page } from '../../rpc/calls.ts'
import { paged } from '../../storage/paging.ts'
import { findApiToken } from '../core/apiTokenRows.ts'
import { authorize } from '../core/authorization.ts'
import { type BanRow, banById, bansBefore, insertBanRow, liftBanRow } from '../core/banRows.ts'
import { publishSnapshot } from '../core/changes.ts'
import type { TenantContext } from '../core/context.ts'
import { raiseEpoch } from '../core/tenantRow.ts'
import { keptSubject } from '../ledger/subjects.ts'
import { auditDone } from './auditDone.ts'
import { requireRoomForBan } from './caps.ts'

export async function createBan(ctx: TenantContext, call: Call & { readonly input: BanCreate }): Promise<BanView> {
  const created = ctx.transact(() => {
    authorize(ctx, call.caller, 'credentials:revoke')
    const row = insertBan(ctx, call.input)
    auditDone(ctx, call, { action: 'ban.create', target: row.id, subjectId: row.subject_id })
    return row
  })
  // The edge looks up TURN keys for tokens of the snapshot: a banned one is no longer there.
  if (created.token_id !== null) await publishSnapshot(ctx)
  return banView(created)
}

export function listBans(ctx: TenantContext, call: Call & Page): { items: BanView[]; next: number | null } {
  authorize(ctx, call.caller, 'credentials:revoke')
  return paged(bansBefore(ctx.sql, call.before, call.limit), call.limit, banView)
}

/** Idempotent: lifting a lifted ban changes nothing. */
export async function liftBan(ctx: TenantContext, call: Call & { readonly id: string }): Promise<BanView> {
  const lifted = ctx.transact(() => {
    authorize(ctx, call.caller, 'credentials:revoke')
    const row = banById(ctx.sql, call.id)
    if (!row) throw new BrokerError('not_found', { detail: 'No such ban.' })
    if (row.lifted_at === null) {
      liftBanRow(ctx.sql, row, ctx.now())
      auditDone(ctx, call, { action: 'ban.lift', target: row.id, subjectId: row.subject_id })
    }
    return banById(ctx.sql, call.id) ?? row
  })
  // Not waited for: a token that KV does not know is the Tenant's to check.
  if (lifted.token_id !== null) ctx.waitUntil(publishSnapshot(ctx))
  return banView(lifted)
}

/** Inside a transaction. Raises the epoch, so that mints in flight read the bans again before they commit. */
export function insertBan(
  ctx: TenantContext,
  ban: { subject?: string; tokenId?: string; until: number },
  untilField = 'until',
): BanRow {
  const now = ctx.now()
  if (ban.until <= now) throw new BrokerError('invalid_request', { detail: `${untilField}: must be in the future` })
  if (ban.tokenId !== undefined && !findApiToken(ctx.sql, ban.tokenId)) {
    throw new BrokerError('not_found', { detail: 'No such API token.' })
  }
  const subjectId = ban.subject === undefined ? null : keptSubject(ctx, ban.subject)
  requireRoomForBan(ctx)
  raiseEpoch(ctx)
  return insertBanRow(ctx.sql, { subjectId, tokenId: ban.tokenId ?? null, until: ban.until }, now)
}

const banView = (row: BanRow): BanView => ({
  id: row.id,
  subjectId: row.subject_id,
  tokenId: row.token_id,
  until: instant(row.until),
  createdAt: instant(row.created_at),
  liftedAt: row.lifted_at === null ? null : instant(row.lifted_at),
})
