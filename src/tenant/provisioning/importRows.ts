/** The rows an import writes, inside its transaction. */
import { newIntent } from '../../cloudflare/markers.ts'
import type { TenantContext } from '../core/context.ts'
import { noteRootKey } from '../core/rootKeyUse.ts'
import type { NamedTurnKeyRow } from '../turnKeys/rows.ts'
import { transitionInTransaction } from './apply.ts'

export interface ImportedRow {
  readonly uid: string
  /** Of the marker in its name upstream, if the broker once made it. */
  readonly intent: string | undefined
  readonly name: string
  readonly sealed: string
  readonly version: number
  readonly created: string
  readonly modified: string
}

/** A uid and an intent stand in one row: an older key's that is finally over gives them up. */
export function freeFinalRows(sql: SqlStorage, { uid, intent }: ImportedRow): void {
  sql.exec(
    `UPDATE turn_keys SET uid = NULL, intent = 'was-' || seq || '-' || intent
     WHERE state IN ('deleted', 'failed') AND (uid = ? OR intent = ?)`,
    uid,
    intent ?? '',
  )
}

export function insertImported(ctx: TenantContext, it: ImportedRow): void {
  const now = ctx.now()
  noteRootKey(ctx, it.sealed)
  ctx.sql.exec(
    `INSERT INTO turn_keys (intent, uid, state, name, sealed, secret_version, revealed, created, modified, begun_at, state_at, checked_at)
     VALUES (?, ?, 'active', ?, ?, ?, 1, ?, ?, ?, ?, ?)`,
    it.intent ?? newIntent(),
    it.uid,
    it.name,
    it.sealed,
    it.version,
    it.created,
    it.modified,
    now,
    now,
    now,
  )
}

/** The tenant has the key: only its secret is another. */
export function renewSecret(ctx: TenantContext, row: NamedTurnKeyRow, it: ImportedRow): void {
  noteRootKey(ctx, it.sealed)
  ctx.sql.exec(
    'UPDATE turn_keys SET sealed = ?, secret_version = ?, revealed = 1 WHERE seq = ?',
    it.sealed,
    it.version,
    row.seq,
  )
  transitionInTransaction(ctx, row, { kind: 'checked', reply: { kind: 'ok', modified: it.modified } })
}
