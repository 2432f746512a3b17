/**
 * The budget of Cloudflare API calls, shared by all tenants. Cloudflare allows 1,200 requests per 5 minutes and blocks
 * for 5 minutes above that. The broker spends at most 70 % of these, and each tenant at most its share. What Cloudflare
 * says about its limits (upstreamLimits.ts) can only lower the budget.
 */

import { type ErrorCode, type Failure, MAX_RETRY_AFTER_SECONDS } from '../../errors.ts'
import type { Spending } from '../../rpc/budget.ts'
import { noteCreation } from './creations.ts'
import { blockedUntil, callsLeft, countCall, upstreamRow } from './upstreamLimits.ts'

export const WINDOW_MS = 300_000
const BUCKET_MS = 10_000
/** 70 % of Cloudflare's 1,200. */
export const TOTAL_CALLS = 840
/** The part of the budget that only operators and recovery may use. */
export const RESERVED_CALLS = 120

interface Bucket extends Record<string, SqlStorageValue> {
  bucket: number
  total: number
  byTenant: number
}

/**
 * Counts one call; `undefined`: granted. Else the failure, with the seconds until a call may be granted. Call it inside
 * a transaction.
 */
export function spend(sql: SqlStorage, now: number, spending: Spending): Failure | undefined {
  // A bucket counts until all of its 10 s are outside the window.
  sql.exec('DELETE FROM api_calls WHERE bucket < ?', oldestBucket(now))
  const upstream = upstreamRow(sql)
  const blocked = blockedUntil(upstream, now)
  if (blocked !== undefined) return refusal('upstream_unavailable', blocked - now)

  const isTenant = spending.purpose === 'tenant'
  const reserve = isTenant ? RESERVED_CALLS : 0
  const buckets = sql
    .exec<Bucket>(
      `SELECT bucket, sum(calls) AS total, coalesce(sum(calls) FILTER (WHERE tenant = ?), 0) AS byTenant
       FROM api_calls GROUP BY bucket ORDER BY bucket`,
      spending.tenant,
    )
    .toArray()
  const freeAt = Math.max(
    freeFrom(buckets, 'total', TOTAL_CALLS - reserve),
    isTenant ? freeFrom(buckets, 'byTenant', spending.limit) : 0,
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

/** Number of calls in the last 5 minutes. */
export const spentCalls = (sql: SqlStorage, now: number): number =>
  sql
    .exec<{ n: number }>('SELECT coalesce(sum(calls), 0) AS n FROM api_calls WHERE bucket >= ?', oldestBucket(now))
    .one().n

const oldestBucket = (now: number): number => Math.floor((now - WINDOW_MS) / BUCKET_MS)

/** When enough calls have left the window for one more within `cap`, in milliseconds since 1970; 0: now. */
function freeFrom(buckets: readonly Bucket[], counted: 'total' | 'byTenant', cap: number): number {
  let excess = buckets.reduce((sum, bucket) => sum + bucket[counted], 0) - cap + 1
  if (excess <= 0) return 0
  for (const bucket of buckets) {
    excess -= bucket[counted]
    if (excess <= 0) return (bucket.bucket + 1) * BUCKET_MS + WINDOW_MS
  }
  return Number.POSITIVE_INFINITY
}

const SENTENCES = {
  rate_limited: 'The budget of Cloudflare API calls (5 minutes) is spent; wait for Retry-After.',
  upstream_unavailable: "Cloudflare's API answered 429; the broker calls it again after Retry-After.",
} as const satisfies Partial<Record<ErrorCode, string>>

const refusal = (code: keyof typeof SENTENCES, waitMs: number): Failure => ({
  code,
  detail: SENTENCES[code],
  retryAfterSeconds: Math.min(Math.max(1, Math.ceil(waitMs / 1_000)), MAX_RETRY_AFTER_SECONDS),
})
