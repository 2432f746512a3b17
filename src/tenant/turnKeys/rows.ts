/** Reading the table `turn_keys`. It is written by writes.ts only. Knows neither Cloudflare nor callers. */
import type { TurnKeyView } from '../../contract/resources/turnKeys.ts'
import { BrokerError, noSuchTurnKey } from '../../errors.ts'
import { Remembered } from '../core/remembered.ts'
import { DOUBT_COUNTS_MS, isVisible, type TurnKeyState, UNFINISHED, VISIBLE } from './states.ts'

export interface TurnKeyRow extends Record<string, SqlStorageValue> {
  seq: number
  intent: string
  uid: string | null
  state: TurnKeyState
  /** As the tenant gave it, without the broker's marker. */
  name: string
  /** A rename that Cloudflare has not confirmed yet. */
  pending_name: string | null
  sealed: string | null
  secret_version: number
  revealed: number
  /** RFC 3339, as Cloudflare gave them. */
  created: string | null
  modified: string | null
  /** How often Cloudflare's list was searched for a creation whose outcome is unknown. */
  looks: number
  begun_at: number
  state_at: number
  /** When Cloudflare last confirmed that the key exists. */
  checked_at: number | null
  /** `seq` of the key that this one was made to replace. */
  replaces: number | null
  /** `seq` of the newest key of the lineage, which mints in place of this one since it was replaced. */
  successor: number | null
  /** Of a key that replaces another: whether the credentials of the other are revoked with it. */
  retire_revokes: number
}

/** A row of a key that has a uid of Cloudflare. */
export type NamedTurnKeyRow = TurnKeyRow & { uid: string }

const listOf = (states: readonly TurnKeyState[]) => states.map((state) => `'${state}'`).join(', ')
const visible = listOf(VISIBLE)
const unfinished = listOf(UNFINISHED)

export const keyByIntent = (sql: SqlStorage, intent: string): TurnKeyRow | undefined =>
  sql.exec<TurnKeyRow>('SELECT * FROM turn_keys WHERE intent = ?', intent).toArray()[0]

export const keyBySeq = (sql: SqlStorage, seq: number): TurnKeyRow | undefined =>
  sql.exec<TurnKeyRow>('SELECT * FROM turn_keys WHERE seq = ?', seq).toArray()[0]

export const keyByUid = (sql: SqlStorage, uid: string): NamedTurnKeyRow | undefined =>
  sql.exec<NamedTurnKeyRow>('SELECT * FROM turn_keys WHERE uid = ?', uid).toArray()[0]

export const visibleKeys = (sql: SqlStorage): NamedTurnKeyRow[] =>
  sql.exec<NamedTurnKeyRow>(`SELECT * FROM turn_keys WHERE state IN (${visible}) ORDER BY seq DESC`).toArray()

export const activeKey = (sql: SqlStorage, uid: string): NamedTurnKeyRow | undefined =>
  sql.exec<NamedTurnKeyRow>("SELECT * FROM turn_keys WHERE uid = ? AND state = 'active'", uid).toArray()[0]

/** Which key `oldestActiveKey` found. */
const oldest = new Remembered<'uid', string | undefined>(1)

/** Whenever a key becomes active, stops being active, or gets a successor. */
export const forgetOldestActiveKey = (sql: SqlStorage): void => oldest.forget(sql)

/** The key that mints when the policy names none. A rotated key inherits the age of the first key of its lineage. */
export function oldestActiveKey(sql: SqlStorage): NamedTurnKeyRow | undefined {
  const uid = oldest.get(sql, 'uid', () => uidOfOldest(sql))
  return uid === undefined ? undefined : activeKey(sql, uid)
}

const uidOfOldest = (sql: SqlStorage): string | undefined =>
  sql
    .exec<{ uid: string }>(
      `SELECT uid FROM turn_keys WHERE state = 'active'
       ORDER BY coalesce((SELECT min(old.seq) FROM turn_keys old WHERE old.successor = turn_keys.seq), seq) LIMIT 1`,
    )
    .toArray()[0]?.uid

export const countVisibleKeys = (sql: SqlStorage): number =>
  sql.exec<{ n: number }>(`SELECT count(*) AS n FROM turn_keys WHERE state IN (${visible})`).one().n

/** Keys that count against `maxTurnKeys`: what exists at Cloudflare, or may exist there. */
export const countTakenPlaces = (sql: SqlStorage, now: number): number =>
  sql
    .exec<{ n: number }>(
      `SELECT count(*) AS n FROM turn_keys
       WHERE state IN ('active', 'missing', 'deleting', 'creating', 'unknown') AND (
         state IN ('active', 'missing') OR (state = 'deleting' AND successor IS NULL)
         OR (replaces IS NULL AND (state = 'creating' OR (state = 'unknown' AND begun_at > ?))))`,
      now - DOUBT_COUNTS_MS,
    )
    .one().n

/** Keys that rotations hold at Cloudflare beyond that: those to be removed, and new ones that have not taken over yet. */
export const countRotationPlaces = (sql: SqlStorage, now: number): number =>
  sql
    .exec<{ n: number }>(
      `SELECT count(*) AS n FROM turn_keys
       WHERE state IN ('retiring', 'deleting', 'creating', 'unknown') AND (
         state = 'retiring' OR (state = 'deleting' AND successor IS NOT NULL)
         OR (replaces IS NOT NULL AND (state = 'creating' OR (state = 'unknown' AND begun_at > ?))))`,
      now - DOUBT_COUNTS_MS,
    )
    .one().n

/** Every key that is neither deleted nor failed; for the deletion of the tenant. */
export const unfinishedKeys = (sql: SqlStorage): TurnKeyRow[] =>
  sql.exec<TurnKeyRow>(`SELECT * FROM turn_keys WHERE state IN (${unfinished})`).toArray()

/** The row of a key that callers may see; throws the 404 of an unknown key otherwise. */
export function visibleKey({ sql }: { readonly sql: SqlStorage }, uid: string): NamedTurnKeyRow {
  const row = keyByUid(sql, uid)
  if (!row || !isVisible(row.state)) throw noSuchTurnKey()
  return row
}

/** What the callers see of a key. */
export function turnKeyView(row: TurnKeyRow): TurnKeyView {
  if (!isVisible(row.state) || row.uid === null) throw new BrokerError('internal')
  return {
    uid: row.uid,
    name: row.name,
    created: row.created ?? '',
    modified: row.modified ?? '',
    state: row.state,
  }
}

/** Whether a rotation of this key has not taken over yet. */
export const isBeingRotated = (sql: SqlStorage, { seq }: TurnKeyRow): boolean =>
  sql.exec("SELECT 1 FROM turn_keys WHERE replaces = ? AND state = 'creating' LIMIT 1", seq).toArray().length > 0

/** A row as a reseal walks over them. */
export interface SealedKeyRow extends Record<string, SqlStorageValue> {
  seq: number
  uid: string | null
  version: number
  sealed: string | null
}

export const lastKeySeq = (sql: SqlStorage): number =>
  sql.exec<{ last: number | null }>('SELECT max(seq) AS last FROM turn_keys').one().last ?? 0

export const sealedKeysAfter = (sql: SqlStorage, after: number, limit: number): SealedKeyRow[] =>
  sql
    .exec<SealedKeyRow>(
      'SELECT seq, uid, secret_version AS version, sealed FROM turn_keys WHERE seq > ? ORDER BY seq LIMIT ?',
      after,
      limit,
    )
    .toArray()
