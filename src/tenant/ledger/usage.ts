/** How much of what was issued was used: one counter row a day (UTC). Cloudflare asks that more than half be used. */
import type { UsageDay } from '../../contract/resources/tenants.ts'

const SHOWN_DAYS = 7

/** Inside the transaction of what is counted. */
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

export const dayOf = (at: number): string => new Date(at).toISOString().slice(0, 10)
