/** The rows of TURN keys: reading them, and the one way to change a state. Knows no upstream and no callers. */
import type { TurnKeyView } from '../../contract/resources/turnKeys.ts'
import { BrokerError, noSuchTurnKey } from '../../errors.ts'
import { DOUBT_COUNTS_MS, isVisible, mayMove, type TurnKeyState, VISIBLE } from './states.ts'

export interface TurnKeyRow extends Record<string, SqlStorageValue> {
  seq: number
  intent: string
  uid: string | null
  state: TurnKeyState
  /** As the tenant gave it, without our marker. */
  name: string
  /** A rename that upstream has not confirmed yet. */
  pending_name: string | null
  sealed: string | null
  secret_version: number
  revealed: number
  /** RFC 3339, as upstream gave them. */
  created: string | null
  modified: string | null
  /** How often a doubtful creation was looked for. */
  looks: number
  begun_at: number
  state_at: number
  /** When upstream last confirmed that the key is there. */
  checked_at: number | null
  /** `seq` of the key that this one was made to replace. */
  replaces: number | null
  /** `seq` of the newest key that stands for this one since it was replaced. */
  successor: number | null
  /** Of a key that replaces another: whether what that one minted is revoked with it. */
  retire_revokes: number
}

/** A row of a key that upstream has given a uid. */
export type NamedTurnKeyRow = TurnKeyRow & { uid: string }

const visible = VISIBLE.map((state) => `'${state}'`).join(', ')

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

/** The key that mints when the policy names none. One that replaced another is as old as that. */
export const oldestActiveKey = (sql: SqlStorage): NamedTurnKeyRow | undefined =>
  sql
    .exec<NamedTurnKeyRow>(
      `SELECT * FROM turn_keys WHERE state = 'active'
       ORDER BY coalesce((SELECT min(old.seq) FROM turn_keys old WHERE old.successor = turn_keys.seq), seq) LIMIT 1`,
    )
    .toArray()[0]

export const countVisibleKeys = (sql: SqlStorage): number =>
  sql.exec<{ n: number }>(`SELECT count(*) AS n FROM turn_keys WHERE state IN (${visible})`).one().n

/** Keys that take a place in `maxTurnKeys`: what is or may be upstream. */
export const countTakenPlaces = (sql: SqlStorage, now: number): number =>
  sql
    .exec<{ n: number }>(
      `SELECT count(*) AS n FROM turn_keys
       WHERE state IN ('active', 'missing') OR (state = 'deleting' AND successor IS NULL)
         OR (replaces IS NULL AND (state = 'creating' OR (state = 'unknown' AND begun_at > ?)))`,
      now - DOUBT_COUNTS_MS,
    )
    .one().n

/** What rotations have upstream beyond that: keys on their way out, and new ones that have not taken over yet. */
export const countRotationPlaces = (sql: SqlStorage, now: number): number =>
  sql
    .exec<{ n: number }>(
      `SELECT count(*) AS n FROM turn_keys
       WHERE state = 'retiring' OR (state = 'deleting' AND successor IS NOT NULL)
         OR (replaces IS NOT NULL AND (state = 'creating' OR (state = 'unknown' AND begun_at > ?)))`,
      now - DOUBT_COUNTS_MS,
    )
    .one().n

/** Every key that is not finally over, for the deletion of the tenant. */
export const unfinishedKeys = (sql: SqlStorage): TurnKeyRow[] =>
  sql.exec<TurnKeyRow>("SELECT * FROM turn_keys WHERE state NOT IN ('deleted', 'failed')").toArray()

/** How long a row outlives its key: an answer to "what became of it". */
const FINAL_ROWS_KEPT_MS = 30 * 86_400_000

/** Keeps the table small: what is finally over goes after 30 days, but for keys that lead to one that is still there. */
export function forgetOldKeys(sql: SqlStorage, now: number): void {
  sql.exec(
    `DELETE FROM turn_keys WHERE state IN ('deleted', 'failed') AND state_at < ?
       AND (successor IS NULL OR successor NOT IN (SELECT seq FROM turn_keys))`,
    now - FINAL_ROWS_KEPT_MS,
  )
}

/** Changes a state, inside a transaction. A move the table does not allow is a fault of ours and changes nothing. */
export function moveKey(sql: SqlStorage, row: TurnKeyRow, to: TurnKeyState, now: number): void {
  const [current] = sql.exec<{ state: TurnKeyState }>('SELECT state FROM turn_keys WHERE seq = ?', row.seq).toArray()
  if (!current || !mayMove(current.state, to)) throw new Error(`no move from ${current?.state} to ${to}`)
  sql.exec('UPDATE turn_keys SET state = ?, state_at = ? WHERE seq = ?', to, now, row.seq)
}

/** Inside a transaction. The names are those of `KeyColumns`, which nobody but this program writes. */
export function writeColumns(sql: SqlStorage, seq: number, columns: KeyColumns): void {
  const entries: [string, SqlStorageValue][] = Object.entries(columns)
  const assignments = entries.map(([name]) => `${name} = ?`).join(', ')
  sql.exec(`UPDATE turn_keys SET ${assignments} WHERE seq = ?`, ...entries.map(([, value]) => value), seq)
}

/** A key that the callers may know of. */
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

/** Columns of the row that a step writes; `turnKeyRows.ts` says what they are. */
export interface KeyColumns {
  readonly uid?: string
  readonly name?: string
  readonly pending_name?: string | null
  readonly sealed?: string | null
  readonly secret_version?: number
  readonly created?: string
  readonly modified?: string
  readonly looks?: number
  readonly checked_at?: number
}
