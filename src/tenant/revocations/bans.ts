/** Bans as resources. */
import type { BanCreate, BanView } from '../../contract/resources/revocations.ts'
import { instant } from '../../contract/values.ts'
import { newId } from '../../crypto/ids.ts'
import { BrokerError } from '../../errors.ts'
import type { Call, Page } from '../../rpc/calls.ts'
import { paged } from '../../storage/paging.ts'
import { findApiToken } from '../core/apiTokenRows.ts'
import { authorize } from '../core/authorization.ts'
import type { TenantContext } from '../core/context.ts'
import { keepSubject, subjectIdFor } from '../ledger/subjects.ts'
import { record } from './record.ts'

interface BanRow extends Record<string, SqlStorageValue> {
  seq: number
  id: string
  subject_id: string | null
  token_id: string | null
  until: number
  created_at: number
  lifted_at: number | null
}

export function createBan(ctx: TenantContext, call: Call & { readonly input: BanCreate }): BanView {
  return ctx.transact(() => {
    authorize(ctx, call.caller, 'credentials:revoke')
    const row = insertBan(ctx, call.input)
    record(ctx, call, { action: 'ban.create', target: row.id, subjectId: row.subject_id })
    return viewOfBan(row)
  })
}

export function listBans(ctx: TenantContext, call: Call & Page): { items: BanView[]; next: number | null } {
  authorize(ctx, call.caller, 'credentials:revoke')
  const rows = ctx.sql
    .exec<BanRow>(
      'SELECT * FROM bans WHERE seq < ? ORDER BY seq DESC LIMIT ?',
      call.before ?? Number.MAX_SAFE_INTEGER,
      call.limit + 1,
    )
    .toArray()
  return paged(rows, call.limit, viewOfBan)
}

/** Idempotent: a ban that was lifted stays lifted since then. */
export function liftBan(ctx: TenantContext, call: Call & { readonly id: string }): BanView {
  return ctx.transact(() => {
    authorize(ctx, call.caller, 'credentials:revoke')
    const find = () => ctx.sql.exec<BanRow>('SELECT * FROM bans WHERE id = ?', call.id).toArray()[0]
    const row = find()
    if (!row) throw new BrokerError('not_found', { detail: 'No such ban.' })
    if (row.lifted_at === null) {
      ctx.sql.exec('UPDATE bans SET lifted_at = ? WHERE seq = ?', ctx.now(), row.seq)
      record(ctx, call, { action: 'ban.lift', target: row.id, subjectId: row.subject_id })
    }
    return viewOfBan(find() ?? row)
  })
}

/** Inside a transaction. Raises the epoch: a mint in flight reads the bans again before it commits. */
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
  const subjectId = ban.subject === undefined ? null : subjectIdFor(ctx, ban.subject)
  if (ban.subject !== undefined && subjectId !== null) keepSubject(ctx, ban.subject, subjectId)
  ctx.sql.exec('UPDATE tenant SET epoch = epoch + 1')
  return ctx.sql
    .exec<BanRow>(
      'INSERT INTO bans (id, subject_id, token_id, until, created_at) VALUES (?, ?, ?, ?, ?) RETURNING *',
      newId('bn'),
      subjectId,
      ban.tokenId ?? null,
      ban.until,
      now,
    )
    .one()
}

const viewOfBan = (row: BanRow): BanView => ({
  id: row.id,
  subjectId: row.subject_id,
  tokenId: row.token_id,
  until: instant(row.until),
  createdAt: instant(row.created_at),
  liftedAt: row.lifted_at === null ? null : instant(row.lifted_at),
})
