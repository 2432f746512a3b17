/** Writing the table `turn_keys`: no other file does. Every function runs inside the caller's transaction. */
import { forgetOldestActiveKey, type TurnKeyRow } from './rows.ts'
import { mayMove, type TurnKeyState } from './states.ts'

/** The intent of a creation, before Cloudflare is asked. `replaces`: of a rotation. */
export function insertIntent(
  sql: SqlStorage,
  intent: { readonly intent: string; readonly name: string; readonly now: number },
): void {
  sql.exec(
    "INSERT INTO turn_keys (intent, state, name, begun_at, state_at) VALUES (?, 'creating', ?, ?, ?)",
    intent.intent,
    intent.name,
    intent.now,
    intent.now,
  )
}

/** The intent of a rotation: the new key takes the old one's name. */
export function insertRotationIntent(
  sql: SqlStorage,
  {
    intent,
    old,
    revokes,
    now,
  }: { readonly intent: string; readonly old: TurnKeyRow; readonly revokes: boolean; readonly now: number },
): void {
  sql.exec(
    `INSERT INTO turn_keys (intent, state, name, replaces, retire_revokes, begun_at, state_at)
     VALUES (?, 'creating', ?, ?, ?, ?, ?)`,
    intent,
    old.pending_name ?? old.name,
    old.seq,
    revokes ? 1 : 0,
    now,
    now,
  )
}

/** A key that an operator imports with its secret: active, and its secret known outside the broker. */
export function insertImported(
  sql: SqlStorage,
  key: Pick<NamedColumns, 'uid' | 'intent' | 'name' | 'sealed' | 'secret_version' | 'created' | 'modified'>,
  now: number,
): void {
  forgetOldestActiveKey(sql)
  sql.exec(
    `INSERT INTO turn_keys (intent, uid, state, name, sealed, secret_version, revealed, created, modified, begun_at, state_at, checked_at)
     VALUES (?, ?, 'active', ?, ?, ?, 1, ?, ?, ?, ?, ?)`,
    key.intent,
    key.uid,
    key.name,
    key.sealed,
    key.secret_version,
    key.created,
    key.modified,
    now,
    now,
    now,
  )
}

interface NamedColumns {
  readonly uid: string
  readonly intent: string
  readonly name: string
  readonly sealed: string
  readonly secret_version: number
  readonly created: string
  readonly modified: string
}

/** A uid and an intent stand in one row each: rows of keys that ended give theirs up to an imported key. */
export function freeFinalRows(sql: SqlStorage, uid: string, intent: string | undefined): void {
  sql.exec(
    `UPDATE turn_keys SET uid = NULL, intent = 'was-' || seq || '-' || intent
     WHERE state IN ('deleted', 'failed') AND (uid = ? OR intent = ?)`,
    uid,
    intent ?? '',
  )
}

/** The secret that an operator imported for a key that the tenant has already. */
export function replaceSecret(
  sql: SqlStorage,
  { seq }: TurnKeyRow,
  { sealed, version }: { readonly sealed: string; readonly version: number },
): void {
  sql.exec('UPDATE turn_keys SET sealed = ?, secret_version = ?, revealed = 1 WHERE seq = ?', sealed, version, seq)
}

/**
 * A reseal: replaces the sealed text and raises its version, if both are still the given ones. Whether they were.
 */
export const replaceSealedKey = (
  sql: SqlStorage,
  was: { readonly seq: number; readonly sealed: string; readonly version: number },
  sealed: string,
): boolean =>
  sql
    .exec(
      `UPDATE turn_keys SET sealed = ?, secret_version = secret_version + 1
       WHERE seq = ? AND sealed = ? AND secret_version = ? RETURNING 1`,
      sealed,
      was.seq,
      was.sealed,
      was.version,
    )
    .toArray().length > 0

/** The secret is about to be shown to a caller: from now on somebody outside may mint with it. */
export function markRevealed(sql: SqlStorage, { seq }: TurnKeyRow): void {
  sql.exec('UPDATE turn_keys SET revealed = 1 WHERE seq = ?', seq)
}

/** The new key mints in place of the old one, and of every key that led to the old one. */
export function setSuccessor(sql: SqlStorage, old: TurnKeyRow, by: TurnKeyRow): void {
  forgetOldestActiveKey(sql)
  sql.exec('UPDATE turn_keys SET successor = ? WHERE seq = ? OR successor = ?', by.seq, old.seq, old.seq)
}

/** Changes a state. Throws where states.ts does not allow the move: a fault of the broker, which changes nothing. */
export function moveKey(sql: SqlStorage, row: TurnKeyRow, to: TurnKeyState, now: number): void {
  const [current] = sql.exec<{ state: TurnKeyState }>('SELECT state FROM turn_keys WHERE seq = ?', row.seq).toArray()
  if (!current || !mayMove(current.state, to)) throw new Error(`no move from ${current?.state} to ${to}`)
  forgetOldestActiveKey(sql)
  sql.exec('UPDATE turn_keys SET state = ?, state_at = ? WHERE seq = ?', to, now, row.seq)
}

/** The names of the columns come from `KeyColumns`, never from outside. */
export function writeColumns(sql: SqlStorage, seq: number, columns: KeyColumns): void {
  const entries: [string, SqlStorageValue][] = Object.entries(columns)
  const assignments = entries.map(([name]) => `${name} = ?`).join(', ')
  forgetOldestActiveKey(sql)
  sql.exec(`UPDATE turn_keys SET ${assignments} WHERE seq = ?`, ...entries.map(([, value]) => value), seq)
}

/** The columns that a step of the state machine writes. */
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

/** How long a row outlives its key, so that an operator can see what became of it. */
const FINAL_ROWS_KEPT_MS = 30 * 86_400_000
/** How long the row of a replaced key leads to its successor after the replaced key was deleted. */
const REPLACED_ROWS_KEPT_MS = 400 * 86_400_000

/** Up to `atMost` keys that ended long enough ago to be forgotten, those longest ago first. By the state it would read all. */
export const forgettableKeys = (sql: SqlStorage, now: number, atMost: number): TurnKeyRow[] => [
  ...sql.exec<TurnKeyRow>(
    `SELECT * FROM turn_keys INDEXED BY turn_keys_ended
     WHERE state IN ('deleted', 'failed') AND successor IS NULL AND state_at < ?
     ORDER BY state_at LIMIT ?`,
    now - FINAL_ROWS_KEPT_MS,
    atMost,
  ),
  ...sql.exec<TurnKeyRow>(
    `SELECT * FROM turn_keys INDEXED BY turn_keys_replaced
     WHERE state IN ('deleted', 'failed') AND successor IS NOT NULL AND state_at < ?
     ORDER BY state_at LIMIT ?`,
    now - REPLACED_ROWS_KEPT_MS,
    atMost,
  ),
]

/** Deletes the row of a key that ended. Those that led to it lead nowhere now: they go after their own 30 days. */
export function forgetKey(sql: SqlStorage, { seq }: TurnKeyRow): void {
  forgetOldestActiveKey(sql)
  sql.exec("UPDATE turn_keys SET successor = NULL WHERE successor = ? AND state IN ('deleted', 'failed')", seq)
  sql.exec('DELETE FROM turn_keys WHERE seq = ?', seq)
}
