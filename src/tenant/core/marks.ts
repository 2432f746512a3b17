/**
 * The table `marks`: numbers with a name, so that a cap or a walk over a table costs no count of its rows. Only this file
 * reads and writes it. A mark that was never set is 0.
 */
type Mark = 'open-bans' | 'ended-bans' | 'revocation-targets' | 'subjects-next-walk'

export const markOf = (sql: SqlStorage, name: Mark): number =>
  sql.exec<{ value: number }>('SELECT value FROM marks WHERE name = ?', name).toArray()[0]?.value ?? 0

/** Inside a transaction. */
export function setMark(sql: SqlStorage, name: Mark, value: number): void {
  sql.exec(
    'INSERT INTO marks (name, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value',
    name,
    value,
  )
}

/** Inside the transaction of the change that is counted. */
export function addToMark(sql: SqlStorage, name: Mark, by: number): void {
  if (by !== 0) setMark(sql, name, Math.max(0, markOf(sql, name) + by))
}
