/**
 * The shared budget of Cloudflare API calls. Cloudflare allows 1,200 requests per 5 minutes for everything together
 * and blocks for 5 minutes above that; the broker spends at most 70 % of it, and no tenant more than its share. What
 * Cloudflare itself says of its limits is upstream.ts: it can only make this less.
 */

import { type ErrorCode, type Failure, MAX_RETRY_AFTER_SECONDS } from '../../errors.ts'
import type { Spending } from '../../rpc/budget.ts'
import { noteCreation } from './creations.ts'
import { blockedUntil, callsLeft, countCall, upstreamRow } from './upstreamLimits.ts'

export const WINDOW_MS = 300_000
const BUCKET_MS = 10_000
/** 70 % of Cloudflare's 1,200. */
export const TOTAL_CALLS = 840
/** Kept for operators and for settling what is in doubt. */
export const RESERVED_CALLS = 120

interface Bucket extends Record<string, SqlStorageValue> {
  bucket: number
  everybody: number
  own: number
}

/** Counts one call, inside a transaction. `undefined` = granted, else why not and when there may be room. */
export function spend(sql: SqlStorage, now: number, spending: Spending): Failure | undefined {
  // A bucket counts until its last moment is past the window.
  sql.exec('DELETE FROM api_calls WHERE bucket < ?', oldestBucket(now))
  const upstream = upstreamRow(sql)
  const blocked = blockedUntil(upstream, now)
  if (blocked !== undefined) return refusal('upstream_unavailable', blocked - now)

  const isTenant = spending.purpose === 'tenant'
  const reserve = isTenant ? RESERVED_CALLS : 0
  const buckets = sql
    .exec<Bucket>(
      `SELECT bucket, sum(calls) AS everybody, coalesce(sum(calls) FILTER (WHERE tenant = ?), 0) AS own
       FROM api_calls GROUP BY bucket ORDER BY bucket`,
      spending.tenant,
    )
    .toArray()
  const freeAt = Math.max(
    roomAt(buckets, 'everybody', TOTAL_CALLS - reserve),
    isTenant ? roomAt(buckets, 'own', spending.limit) : 0,
    (callsLeft(upstream, now) ?? Number.POSITIVE_INFINITY) > reserve ? 0 : (upstream.resets_at ?? 0),
  )
  if (freeAt > now) return refusal('rate_limited', freeAt - now)

  sql.exec(
    'INSERT INTO api_calls (bucket, tenant, calls) VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET calls = calls + 1',
    Math.floor(now / BUCKET_MS),
    spending.tenant,
  )
  countCall(sql, upstream, now)
  const { intent, tenant } = spending
  if (intent !== undefined) noteCreation(sql, { intent, tenant, now })
  return
}

/** The calls of the last 5 minutes. */
export const spentCalls = (sql: SqlStorage, now: number): number =>
  sql
    .exec<{ n: number }>('SELECT coalesce(sum(calls), 0) AS n FROM api_calls WHERE bucket >= ?', oldestBucket(now))
    .one().n

const oldestBucket = (now: number): number => Math.floor((now - WINDOW_MS) / BUCKET_MS)

/** When so many calls have left the window that one more stays within `cap`; 0: now. */
function roomAt(buckets: readonly Bucket[], whose: 'everybody' | 'own', cap: number): number {
  let tooMany = buckets.reduce((sum, bucket) => sum + bucket[whose], 0) - cap + 1
  if (tooMany <= 0) return 0
  for (const bucket of buckets) {
    tooMany -= bucket[whose]
    if (tooMany <= 0) return (bucket.bucket + 1) * BUCKET_MS + WINDOW_MS
  }
  return Number.POSITIVE_INFINITY
}

const SENTENCES = {
  rate_limited: 'The budget of Cloudflare API calls is spent for now.',
  upstream_unavailable: "Cloudflare's API asked to wait.",
} as const satisfies Partial<Record<ErrorCode, string>>

const refusal = (code: keyof typeof SENTENCES, waitMs: number): Failure => ({
  code,
  detail: SENTENCES[code],
  retryAfterSeconds: Math.min(Math.max(1, Math.ceil(waitMs / 1_000)), MAX_RETRY_AFTER_SECONDS),
})
