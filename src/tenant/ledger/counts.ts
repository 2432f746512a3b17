/** What the limits count, read from the ledger when an object starts or after a transaction was rolled back. */
import type { LedgerCounts } from '../memory/liveCounts.ts'

const MINUTE_MS = 60_000
/** Rows are in the order of their commits, and a mint may have begun this long before its own. */
const LONGEST_MINT_MS = 10_000

export const countLedger = (sql: SqlStorage, now: number): LedgerCounts => ({
  liveByExpiry: liveByExpiry(sql, now),
  mintedInLastMinute: mintedInLastMinute(sql, now),
})

const liveByExpiry = (sql: SqlStorage, now: number) =>
  sql
    .exec<{ expires_at: number; n: number }>(
      "SELECT expires_at, count(*) AS n FROM credentials WHERE state = 'live' AND expires_at > ? GROUP BY expires_at",
      now,
    )
    .toArray()
    .map(({ expires_at, n }) => ({ expiresAt: expires_at, count: n }))

/** The newest rows first, until one is too old: bounded by the mint rate, not by the ledger. */
function mintedInLastMinute(sql: SqlStorage, now: number): number[] {
  const recent: number[] = []
  for (const { issued_at } of sql.exec<{ issued_at: number }>('SELECT issued_at FROM credentials ORDER BY seq DESC')) {
    if (issued_at <= now - MINUTE_MS - LONGEST_MINT_MS) break
    if (issued_at > now - MINUTE_MS) recent.push(issued_at)
  }
  return recent.sort((a, b) => a - b)
}
