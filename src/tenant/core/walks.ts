/**
 * The table `walks`: how far a walk over a table has come that takes many runs of a job. Only this file reads and writes it. A walk
 * that is not under way has no row.
 */
type Walk = 'subjects'

/** The last key that was walked over; `undefined`: no walk is under way. */
export const placeInWalk = (sql: SqlStorage, walk: Walk): string | undefined =>
  sql.exec<{ place: string }>('SELECT place FROM walks WHERE walk = ?', walk).toArray()[0]?.place

/** Inside the transaction of the step. */
export function keepPlace(sql: SqlStorage, walk: Walk, place: string): void {
  sql.exec(
    'INSERT INTO walks (walk, place) VALUES (?, ?) ON CONFLICT DO UPDATE SET place = excluded.place',
    walk,
    place,
  )
}

/** Inside the transaction of the last step. */
export function forgetPlace(sql: SqlStorage, walk: Walk): void {
  sql.exec('DELETE FROM walks WHERE walk = ?', walk)
}
