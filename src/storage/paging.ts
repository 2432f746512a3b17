/** A page of rows, newest first. Query `limit` + 1 rows: the extra row shows that a next page exists. */

export function paged<R extends { seq: number }, V>(
  rows: readonly R[],
  limit: number,
  view: (row: R) => V,
): { items: V[]; next: number | null } {
  const items = rows.slice(0, limit)
  return { items: items.map(view), next: rows.length > limit ? (items.at(-1)?.seq ?? null) : null }
}
