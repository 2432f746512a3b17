/** A page of rows, newest first. Ask the database for one row more than the page holds: it tells whether there is another. */

export function paged<R extends { seq: number }, V>(
  rows: readonly R[],
  limit: number,
  view: (row: R) => V,
): { items: V[]; next: number | null } {
  const items = rows.slice(0, limit)
  return { items: items.map(view), next: rows.length > limit ? (items.at(-1)?.seq ?? null) : null }
}
