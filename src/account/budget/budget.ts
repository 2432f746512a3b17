/**
 * The budget of Cloudflare API calls, shared by all tenants. Cloudflare allows 1,200 requests per 5 minutes and blocks
 * for 5 minutes above that. The broker spends at most 70 % of these, in three pools by the reason of a call, none of which may
 * use another. What Cloudflare says about its limits (upstreamLimits.ts) can only lower the budget.
 */

import { type ErrorCode, type Failure, MAX_RETRY_AFTER_SECONDS } from '../../errors.ts'
import type { Spending } from '../../rpc/budget.ts'
import { noteCreation } from './creations.ts'
import { blockedUntil, callsLeft, countCall, upstreamRow } from './upstreamLimits.ts'

type CallPurpose = Spending['purpose']

export const WINDOW_MS = 300_000
const BUCKET_MS = 10_000
/** What each reason may spend in 5 minutes: 70 % of Cloudflare's 1,200 together. */
export const POOLS = { tenant: 600, recovery: 120, operator: 120 } as const satisfies Record<CallPurpose, number>
/** What one tenant's doubts may cost. The Account's own lists have no such bound. */
const RECOVERY_CALLS_OF_A_TENANT = 12

/** Of the calls that Cloudflare's `Ratelimit` leaves, these are kept for the other reasons. */
const KEPT_FROM = {
  tenant: POOLS.recovery + POOLS.operator,
  recovery: POOLS.operator,
  operator: 0,
} as const satisfies Record<CallPurpose, number>

interface Bucket extends Record<string, SqlStorageValue> {
  bucket: number
  pool: number
  byTenant: number
}

/**
 * Counts one call; `undefined`: granted. Else the failure, with the seconds until a call may be granted. Call it inside
 * a transaction.
 */
export function spend(sql: SqlStorage, now: number, spending: Spending): Failure | undefined {
  const { purpose, tenant, intent } = spending
  // A bucket counts until all of its 10 s are outside the window.
  sql.exec('DELETE FROM api_calls WHERE purpose = ? AND bucket < ?', purpose, oldestBucket(now))
  const upstream = upstreamRow(sql)
  const blocked = blockedUntil(upstream, now)
  if (blocked !== undefined) return refusal('upstream_unavailable', blocked - now)

  const buckets = sql
    .exec<Bucket>(
      `SELECT bucket, sum(calls) AS pool, coalesce(sum(calls) FILTER (WHERE tenant = ?), 0) AS byTenant
       FROM api_calls WHERE purpose = ? GROUP BY bucket ORDER BY bucket`,
      tenant,
      purpose,
    )
    .toArray()
  const freeAt = Math.max(
    freeFrom(buckets, 'pool', POOLS[purpose]),
    freeFrom(buckets, 'byTenant', shareOf(spending)),
    (callsLeft(upstream, now) ?? Number.POSITIVE_INFINITY) > KEPT_FROM[purpose] ? 0 : (upstream.resets_at ?? 0),
  )
  if (freeAt > now) return refusal('rate_limited', freeAt - now)

  sql.exec(
    'INSERT INTO api_calls (bucket, purpose, tenant, calls) VALUES (?, ?, ?, 1) ON CONFLICT DO UPDATE SET calls = calls + 1',
    Math.floor(now / BUCKET_MS),
    purpose,
    tenant,
  )
  countCall(sql, upstream, now)
  if (intent !== undefined) noteCreation(sql, { intent, tenant, now })
  return
}

/** Takes back the latest call that was granted for this reason and tenant. Inside a transaction. */
export function giveBack(sql: SqlStorage, { purpose, tenant }: Spending): void {
  sql.exec(
    `UPDATE api_calls SET calls = calls - 1 WHERE purpose = ? AND tenant = ? AND bucket = (
       SELECT max(bucket) FROM api_calls WHERE purpose = ? AND tenant = ? AND calls > 0)`,
    purpose,
    tenant,
    purpose,
    tenant,
  )
}

/** Number of calls in the last 5 minutes, by their reason. */
export function spentCalls(sql: SqlStorage, now: number): Record<CallPurpose, number> {
  const rows = sql.exec<{ purpose: CallPurpose; n: number }>(
    `SELECT purpose, sum(calls) AS n FROM api_calls WHERE purpose IN ('tenant', 'recovery', 'operator') AND bucket >= ?
     GROUP BY purpose`,
    oldestBucket(now),
  )
  return { tenant: 0, recovery: 0, operator: 0, ...Object.fromEntries([...rows].map(({ purpose, n }) => [purpose, n])) }
}

function shareOf({ purpose, tenant, limit }: Spending): number {
  if (purpose === 'tenant') return limit
  return purpose === 'recovery' && tenant !== '' ? RECOVERY_CALLS_OF_A_TENANT : Number.POSITIVE_INFINITY
}

const oldestBucket = (now: number): number => Math.floor((now - WINDOW_MS) / BUCKET_MS)

/** When enough calls have left the window for one more within `cap`, in milliseconds since 1970; 0: now. */
function freeFrom(buckets: readonly Bucket[], counted: 'pool' | 'byTenant', cap: number): number {
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
