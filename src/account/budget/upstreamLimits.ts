/**
 * Circuit breaker for the rate limit of Cloudflare's API, shared by all tenants. A 429 opens it for `Retry-After`, 5
 * minutes at most. Then it is half open: one call goes through, and its answer closes or opens the breaker. The calls
 * left by `Ratelimit` only lower the budget. Pure except for one row of SQL.
 */
import type { Observed } from '../../cloudflare/rateHeaders.ts'

const DEFAULT_BLOCK_SECONDS = 60
const MAX_BLOCK_SECONDS = 300
/** How long the probe after a block may take before another call may probe. */
const PROBE_MS = 12_000
/** With at least the broker's whole budget left upstream, `Ratelimit` needs no counting. */
const WORTH_COUNTING = 840

export interface UpstreamRow extends Record<string, SqlStorageValue> {
  /** Calls left by `Ratelimit`, minus the calls granted since; `null`: upstream sent none yet. */
  calls_left: number | null
  resets_at: number | null
  /** The breaker is open until then. In the past: half open. `null`: closed. */
  blocked_until: number | null
  probe_until: number | null
  /** How many keys upstream's last list had, and when it was requested. */
  keys: number | null
  listed_at: number | null
}

export const upstreamRow = (sql: SqlStorage): UpstreamRow => sql.exec<UpstreamRow>('SELECT * FROM upstream').one()

/** Until when no call may be sent, in milliseconds since 1970; `undefined`: calls are allowed. */
export function blockedUntil(row: UpstreamRow, now: number): number | undefined {
  if (row.blocked_until === null) return
  if (now < row.blocked_until) return row.blocked_until
  return row.probe_until !== null && now < row.probe_until ? row.probe_until : undefined
}

/** How many calls upstream still accepts; `undefined` once its window has ended. */
export const callsLeft = (row: UpstreamRow, now: number): number | undefined =>
  row.calls_left !== null && row.resets_at !== null && now < row.resets_at ? row.calls_left : undefined

/** Counts a granted call. Call it inside a transaction. */
export function countCall(sql: SqlStorage, row: UpstreamRow, now: number): void {
  if (row.blocked_until !== null) sql.exec('UPDATE upstream SET probe_until = ?', now + PROBE_MS)
  if (callsLeft(row, now) !== undefined) sql.exec('UPDATE upstream SET calls_left = max(0, calls_left - 1)')
}

/** Records the rate limit headers of an answer. Call it inside a transaction. Writes only what changes. */
export function observe(sql: SqlStorage, now: number, { refused, retryAfterSeconds, rate }: Observed): void {
  const row = upstreamRow(sql)
  if (refused) {
    const seconds = retryAfterSeconds ?? rate?.resetSeconds ?? DEFAULT_BLOCK_SECONDS
    const until = now + Math.min(Math.max(1, seconds), MAX_BLOCK_SECONDS) * 1_000
    sql.exec('UPDATE upstream SET blocked_until = ?, probe_until = NULL', Math.max(until, row.blocked_until ?? 0))
    return
  }
  // An answer during the block belongs to a call from before it, so it does not close the breaker.
  if (row.blocked_until !== null && now >= row.blocked_until) {
    sql.exec('UPDATE upstream SET blocked_until = NULL, probe_until = NULL')
  }
  if (!rate || rate.remaining >= (callsLeft(row, now) ?? WORTH_COUNTING)) return
  sql.exec('UPDATE upstream SET calls_left = ?, resets_at = ?', rate.remaining, now + rate.resetSeconds * 1_000)
}

/** Records the number of keys in upstream's list. Call it inside a transaction. */
export function countKeys(sql: SqlStorage, keys: number, at: number): void {
  sql.exec('UPDATE upstream SET keys = ?, listed_at = ?', keys, at)
}
