/** A page of rows, newest first. Query `limit` + 1 rows: the extra row shows that a next page exists. */

export function paged<R extends { seq: number }, V>(
  rows: readonly R[],
  limit: number,
  view: (row: R) => V,
): { items: V[]; next: number | null } {
  const items = rows.slice(0, limit)
  return { items: items.map(view), next: rows.length > limit ? (items.at(-1)?.seq ?? null) : null }
}

/** How many rows one call of a filtered list looks at. Beyond that it answers what it found, with a cursor. */
export const LOOKED_AT_A_CALL = 2_000

/**
 * Which rows of a filtered list are on the page. `rows`: the table from its newest end, `[seq, 1 for a hit]`, up to
 * `LOOKED_AT_A_CALL + 1` of them; no more are read than the page needs. `next`: where the next page begins, also when this
 * one has no hit.
 */
export function hitsOf(
  rows: Iterable<readonly SqlStorageValue[]>,
  limit: number,
): { hits: number[]; next: number | null } {
  const hits: number[] = []
  let [looked, last] = [0, 0]
  for (const [seq, hit] of rows) {
    if (looked === LOOKED_AT_A_CALL) return { hits, next: last }
    if (hit === 1 && hits.length === limit) return { hits, next: hits.at(-1) ?? null }
    if (hit === 1) hits.push(Number(seq))
    last = Number(seq)
    looked++
  }
  return { hits, next: null }
}
