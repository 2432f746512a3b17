/**
 * What Cloudflare's API said of its own limits, for everybody who asks it. A 429 opens a breaker for as long as it
 * says, 5 minutes at most; after that one call goes through, and its answer closes it or opens it again. The calls
 * that `Ratelimit` says are left only ever lower the broker's own budget. Pure but for the one row.
 */
import type { Observed } from '../../cloudflare/rateHeaders.ts'

const DEFAULT_BLOCK_SECONDS = 60
const MAX_BLOCK_SECONDS = 300
/** How long the one call after a block has to come back before another may try. */
const PROBE_MS = 12_000
/** More left than the whole budget of the broker: no reason to count. */
const WORTH_COUNTING = 840

export interface UpstreamRow extends Record<string, SqlStorageValue> {
  /** By upstream's own count, less what was granted since; `null`: it never said. */
  calls_left: number | null
  resets_at: number | null
  /** The breaker is open until then; `null`: closed. Past: half open. */
  blocked_until: number | null
  probe_until: number | null
  /** How many keys upstream listed, and when. */
  keys: number | null
  listed_at: number | null
}

export const upstreamRow = (sql: SqlStorage): UpstreamRow => sql.exec<UpstreamRow>('SELECT * FROM upstream').one()

/** Until when nothing may be asked; `undefined`: it may. */
export function blockedUntil(row: UpstreamRow, now: number): number | undefined {
  if (row.blocked_until === null) return
  if (now < row.blocked_until) return row.blocked_until
  return row.probe_until !== null && now < row.probe_until ? row.probe_until : undefined
}

/** How many calls upstream still takes, while what it said holds. */
export const callsLeft = (row: UpstreamRow, now: number): number | undefined =>
  row.calls_left !== null && row.resets_at !== null && now < row.resets_at ? row.calls_left : undefined

/** A call was granted. Inside a transaction. */
export function countCall(sql: SqlStorage, row: UpstreamRow, now: number): void {
  if (row.blocked_until !== null) sql.exec('UPDATE upstream SET probe_until = ?', now + PROBE_MS)
  if (callsLeft(row, now) !== undefined) sql.exec('UPDATE upstream SET calls_left = max(0, calls_left - 1)')
}

/** An answer of upstream's came in. Inside a transaction; writes only what changes something. */
export function observe(sql: SqlStorage, now: number, { refused, retryAfterSeconds, rate }: Observed): void {
  const row = upstreamRow(sql)
  if (refused) {
    const seconds = retryAfterSeconds ?? rate?.resetSeconds ?? DEFAULT_BLOCK_SECONDS
    const until = now + Math.min(Math.max(1, seconds), MAX_BLOCK_SECONDS) * 1_000
    sql.exec('UPDATE upstream SET blocked_until = ?, probe_until = NULL', Math.max(until, row.blocked_until ?? 0))
    return
  }
  // An answer during the block is one to a call from before it.
  if (row.blocked_until !== null && now >= row.blocked_until) {
    sql.exec('UPDATE upstream SET blocked_until = NULL, probe_until = NULL')
  }
  if (!rate || rate.remaining >= (callsLeft(row, now) ?? WORTH_COUNTING)) return
  sql.exec('UPDATE upstream SET calls_left = ?, resets_at = ?', rate.remaining, now + rate.resetSeconds * 1_000)
}

/** Upstream's keys were listed. Inside a transaction. */
export function countKeys(sql: SqlStorage, keys: number, at: number): void {
  sql.exec('UPDATE upstream SET keys = ?, listed_at = ?', keys, at)
}
