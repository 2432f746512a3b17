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

/** The last days, newest first. `repeats`: what is counted of today and not written yet. */
export function recentUsage(sql: SqlStorage, now: number, repeats: number): UsageDay[] {
  const days = sql
    .exec<UsageDay>(
      'SELECT day, issued, reused, revoked, expired FROM usage_days ORDER BY day DESC LIMIT ?',
      SHOWN_DAYS,
    )
    .toArray()
  if (repeats === 0) return days
  const today = { day: dayOf(now), issued: 0, reused: 0, revoked: 0, expired: 0 }
  const shown = days[0]?.day === today.day ? days : [today, ...days].slice(0, SHOWN_DAYS)
  return shown.map((day) => (day.day === today.day ? { ...day, reused: day.reused + repeats } : day))
}

/** Days that began before then (milliseconds since 1970). */
export function forgetUsage(sql: SqlStorage, before: number): void {
  sql.exec('DELETE FROM usage_days WHERE day < ?', dayOf(before))
}

const dayOf = (at: number): string => new Date(at).toISOString().slice(0, 10)
