/**
 * The shared budget of Cloudflare API calls. Cloudflare allows 1,200 requests per 5 minutes for everything together
 * and blocks for 5 minutes above that; the broker spends at most 70 % of it, and no tenant more than its share.
 */

const WINDOW_MS = 300_000
const BUCKET_MS = 10_000
/** 70 % of Cloudflare's 1,200. */
export const TOTAL_CALLS = 840
/** Kept for operators and for settling what is in doubt. */
const RESERVED_CALLS = 120

export interface Spending {
  readonly tenant: string
  /** The tenant's own share, from its policy. */
  readonly limit: number
  /** `recovery` settles what was begun, and operators clean up: both may use the reserve. */
  readonly purpose: 'tenant' | 'operator' | 'recovery'
}

/** Counts one call. `undefined` = granted, else the seconds until there may be room. */
export function spend(sql: SqlStorage, now: number, spending: Spending): number | undefined {
  // A bucket counts until its last moment is past the window.
  const oldest = Math.floor((now - WINDOW_MS) / BUCKET_MS)
  sql.exec('DELETE FROM api_calls WHERE bucket < ?', oldest)
  const { all, own, first } = sql
    .exec<{ all: number; own: number; first: number | null }>(
      'SELECT coalesce(sum(calls), 0) AS "all", coalesce(sum(calls) FILTER (WHERE tenant = ?), 0) AS own, min(bucket) AS first FROM api_calls',
      spending.tenant,
    )
    .one()
  const reserve = spending.purpose === 'tenant' ? RESERVED_CALLS : 0
  const overShare = spending.purpose === 'tenant' && own >= spending.limit
  if (all >= TOTAL_CALLS - reserve || overShare) {
    const freeAt = ((first ?? oldest) + 1) * BUCKET_MS + WINDOW_MS
    return Math.max(1, Math.ceil((freeAt - now) / 1_000))
  }
  sql.exec(
    'INSERT INTO api_calls (bucket, tenant, calls) VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET calls = calls + 1',
    Math.floor(now / BUCKET_MS),
    spending.tenant,
  )
  return undefined
}
