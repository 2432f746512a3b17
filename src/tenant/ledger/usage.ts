/**
 * The table `usage_days`, which only this file writes: one counter row a day (UTC) of credentials issued, reused, revoked
 * and expired. Cloudflare asks that more than half of what is issued be used.
 */
import type { UsageDay } from '../../contract/resources/tenants.ts'

const SHOWN_DAYS = 7

/** Runs inside the transaction of the event that is counted. */
export function countUsage(
  sql: SqlStorage,
  at: number,
  what: 'issued' | 'reused' | 'revoked' | 'expired',
  by = 1,
): void {
  sql.exec(
    `INSERT INTO usage_days (day, ${what}) VALUES (?, ?) ON CONFLICT DO UPDATE SET ${what} = ${what} + excluded.${what}`,
    dayOf(at),
    by,
  )
}

export const recentUsage = (sql: SqlStorage): UsageDay[] =>
  sql
    .exec<UsageDay>(
      'SELECT day, issued, reused, revoked, expired FROM usage_days ORDER BY day DESC LIMIT ?',
      SHOWN_DAYS,
    )
    .toArray()

/** Days that began before then (milliseconds since 1970). */
export function forgetUsage(sql: SqlStorage, before: number): void {
  sql.exec('DELETE FROM usage_days WHERE day < ?', dayOf(before))
}

const dayOf = (at: number): string => new Date(at).toISOString().slice(0, 10)
