/** Revocations and bans as resources, and what is known of a subject. What revoking does is revoking.ts. */
import { actorOf } from '../auth/caller.ts'
import type { BanCreate, BanView, RevocationCreate, RevocationView } from '../contract/revocations.ts'
import { instant } from '../contract/values.ts'
import { newId } from '../crypto/ids.ts'
import { BrokerError } from '../errors.ts'
import { audit } from '../storage/audit.ts'
import type { IdempotencyKey } from '../storage/idempotency.ts'
import { paged } from '../storage/paging.ts'
import { findApiToken } from './apiTokenRows.ts'
import { authorize } from './authority.ts'
import type { Call, Page, TenantParts } from './parts.ts'
import { everything, ofCredential, ofKey, ofSubject, type Selection, takeBack } from './revoking.ts'
import { findSubject, findSubjectId, keepSubject, subjectIdFor } from './subjects.ts'

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
  parts: TenantParts,
  call: Call & { readonly input: RevocationCreate; readonly idempotency: IdempotencyKey | undefined },
): RevocationView {
  const { input, idempotency } = call
  return parts.transact(() => {
    authorize(parts, call.caller, 'credentials:revoke')
    const earlier = idempotency && parts.idempotency.find(ROUTE, idempotency)
    if (earlier) return viewOf(existing(parts, earlier.target))
    const id = newId('rv')
    if (input.subject !== undefined && input.banUntil !== undefined) {
      insertBan(parts, { subject: input.subject, until: input.banUntil }, 'banUntil')
    }
    const { shown, selection } = select(parts, input)
    const { seq } = parts.sql
      .exec<{ seq: number }>(
        'INSERT INTO revocations (id, selector, matched, created_at) VALUES (?, ?, 0, ?) RETURNING seq',
        id,
        JSON.stringify(shown),
        parts.now(),
      )
      .one()
    const matched = selection ? takeBack(parts, selection, seq) : 0
    parts.sql.exec('UPDATE revocations SET matched = ? WHERE seq = ?', matched, seq)
    if (idempotency) parts.idempotency.begin(ROUTE, idempotency, id)
    record(parts, call, {
      action: 'revocation.create',
      target: id,
      subjectId: 'subjectId' in shown ? shown.subjectId : null,
    })
    return viewOf(existing(parts, id))
  })
}

export function getRevocation(parts: TenantParts, call: Call & { readonly id: string }): RevocationView {
  authorize(parts, call.caller, 'credentials:revoke')
  return viewOf(existing(parts, call.id))
}

function select(
  parts: TenantParts,
  input: RevocationCreate,
): { shown: RevocationView['selector']; selection: Selection | undefined } {
  if (input.keyId !== undefined) return { shown: { keyId: input.keyId }, selection: ofKey(input.keyId) }
  if (input.credentialId !== undefined) {
    return { shown: { credentialId: input.credentialId }, selection: ofCredential(input.credentialId) }
  }
  if (input.subject === undefined) return { shown: { all: true }, selection: everything }
  // Also of a subject whose first mint is still in flight and has no row yet.
  const known = findSubject(parts.sql, input.subject) ?? inFlightSubject(parts, input.subject)
  return { shown: { subjectId: known?.id ?? null }, selection: known && ofSubject(known.id) }
}

function inFlightSubject(parts: TenantParts, subject: string): { id: string } | undefined {
  for (const mint of parts.mints.inFlight)
    if (mint.subject === subject && mint.subjectId !== null) return { id: mint.subjectId }
  return
}

interface BanRow extends Record<string, SqlStorageValue> {
  seq: number
  id: string
  subject_id: string | null
  token_id: string | null
  until: number
  created_at: number
  lifted_at: number | null
}

export function createBan(parts: TenantParts, call: Call & { readonly input: BanCreate }): BanView {
  return parts.transact(() => {
    authorize(parts, call.caller, 'credentials:revoke')
    const row = insertBan(parts, call.input)
    record(parts, call, { action: 'ban.create', target: row.id, subjectId: row.subject_id })
    return viewOfBan(row)
  })
}

export function listBans(parts: TenantParts, call: Call & Page): { items: BanView[]; next: number | null } {
  authorize(parts, call.caller, 'credentials:revoke')
  const rows = parts.sql
    .exec<BanRow>(
      'SELECT * FROM bans WHERE seq < ? ORDER BY seq DESC LIMIT ?',
      call.before ?? Number.MAX_SAFE_INTEGER,
      call.limit + 1,
    )
    .toArray()
  return paged(rows, call.limit, viewOfBan)
}

/** Idempotent: a ban that was lifted stays lifted since then. */
export function liftBan(parts: TenantParts, call: Call & { readonly id: string }): BanView {
  return parts.transact(() => {
    authorize(parts, call.caller, 'credentials:revoke')
    const find = () => parts.sql.exec<BanRow>('SELECT * FROM bans WHERE id = ?', call.id).toArray()[0]
    const row = find()
    if (!row) throw new BrokerError('not_found', { detail: 'No such ban.' })
    if (row.lifted_at === null) {
      parts.sql.exec('UPDATE bans SET lifted_at = ? WHERE seq = ?', parts.now(), row.seq)
      record(parts, call, { action: 'ban.lift', target: row.id, subjectId: row.subject_id })
    }
    return viewOfBan(find() ?? row)
  })
}

/** Inside a transaction. Raises the epoch: a mint in flight reads the bans again before it commits. */
function insertBan(
  parts: TenantParts,
  ban: { subject?: string; tokenId?: string; until: number },
  untilField = 'until',
): BanRow {
  const now = parts.now()
  if (ban.until <= now) throw new BrokerError('invalid_request', { detail: `${untilField}: must be in the future` })
  if (ban.tokenId !== undefined && !findApiToken(parts.sql, ban.tokenId)) {
    throw new BrokerError('not_found', { detail: 'No such API token.' })
  }
  const subjectId = ban.subject === undefined ? null : subjectIdFor(parts, ban.subject)
  if (ban.subject !== undefined && subjectId !== null) keepSubject(parts, ban.subject, subjectId)
  parts.sql.exec('UPDATE tenant SET epoch = epoch + 1')
  return parts.sql
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

function record(
  parts: TenantParts,
  call: Call,
  what: { action: string; target: string; subjectId: string | null },
): void {
  audit(parts.sql, parts.now(), { actor: actorOf(call.caller), outcome: 'done', requestId: call.requestId, ...what })
}

function existing(parts: TenantParts, id: string): RevocationRow {
  const [row] = parts.sql.exec<RevocationRow>('SELECT * FROM revocations WHERE id = ?', id).toArray()
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

const viewOfBan = (row: BanRow): BanView => ({
  id: row.id,
  subjectId: row.subject_id,
  tokenId: row.token_id,
  until: instant(row.until),
  createdAt: instant(row.created_at),
  liftedAt: row.lifted_at === null ? null : instant(row.lifted_at),
})
