/**
 * The lineage of a TURN key: the key and those it replaced. A caller that names an older key is given the newest, as long
 * as that one mints. `successor` always holds the newest key, so that one step is enough.
 */
import { activeKey, keyByUid, type NamedTurnKeyRow, type TurnKeyRow } from './rows.ts'

/** The same number for all keys of one lineage, and for no other. */
export const lineageOf = (row: TurnKeyRow): number => row.successor ?? row.seq

/** The key that mints when a caller names this one: itself, or its successor. */
export function mintingKey(sql: SqlStorage, uid: string): NamedTurnKeyRow | undefined {
  const own = activeKey(sql, uid)
  if (own) return own
  const successor = keyByUid(sql, uid)?.successor ?? null
  if (successor === null) return
  return sql.exec<NamedTurnKeyRow>("SELECT * FROM turn_keys WHERE seq = ? AND state = 'active'", successor).toArray()[0]
}

/** An SQL condition on the ledger's `key_uid`: any key of the lineage of one key. Binds the uid of that key. */
export const OF_LINEAGE = `key_uid IN (
  SELECT mate.uid FROM (SELECT coalesce(successor, seq) AS newest FROM turn_keys WHERE uid = ?) named
    JOIN turn_keys mate ON mate.seq = named.newest OR mate.successor = named.newest)`
