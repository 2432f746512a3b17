/**
 * Lines of TURN keys: a key and those it replaced, which lead to it. Who names an older one means the newest, for as
 * long as that mints. `successor` always holds the newest, so one step is enough.
 */
import { activeKey, keyByUid, type NamedTurnKeyRow, type TurnKeyRow } from './rows.ts'

/** What tells the keys of one line from all others. */
export const lineageOf = (row: TurnKeyRow): number => row.successor ?? row.seq

/** The key that mints for whoever names this one: itself, or its successor. */
export function mintingKey(sql: SqlStorage, uid: string): NamedTurnKeyRow | undefined {
  const own = activeKey(sql, uid)
  if (own) return own
  const successor = keyByUid(sql, uid)?.successor ?? null
  if (successor === null) return
  return sql.exec<NamedTurnKeyRow>("SELECT * FROM turn_keys WHERE seq = ? AND state = 'active'", successor).toArray()[0]
}

/** In the transaction that switches: the new key stands for the old one, and for all that led to it. */
export function setSuccessor(sql: SqlStorage, old: TurnKeyRow, by: TurnKeyRow): void {
  sql.exec('UPDATE turn_keys SET successor = ? WHERE seq = ? OR successor = ?', by.seq, old.seq, old.seq)
}

/** A condition on the ledger's `key_uid`: of the line that a key belongs to. Binds that key's uid. */
export const OF_LINEAGE = `key_uid IN (
  SELECT mate.uid FROM turn_keys named JOIN turn_keys mate
    ON coalesce(mate.successor, mate.seq) = coalesce(named.successor, named.seq)
  WHERE named.uid = ?)`
