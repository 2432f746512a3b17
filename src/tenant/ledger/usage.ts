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

/** Inside the transaction that deletes the rows: one row written a day. */
export function countExpired(sql: SqlStorage, rows: readonly { readonly expires_at: number }[]): void {
  const days = Map.groupBy(rows, ({ expires_at }) => dayOf(expires_at))
  for (const of of days.values()) countUsage(sql, of[0]?.expires_at ?? 0, 'expired', of.length)
}

/** What is counted in memory and not written yet. */
export interface UnwrittenUsage {
  /** Day (UTC, milliseconds since 1970) → issued credentials. */
  readonly issued: ReadonlyMap<number, number>
  /** Repeats of today. */
  readonly reused: number
}

/** The last days, newest first, with what is not written yet. */
export function recentUsage(sql: SqlStorage, now: number, { issued, reused }: UnwrittenUsage): UsageDay[] {
  const stored = sql
    .exec<UsageDay>(
      'SELECT day, issued, reused, revoked, expired FROM usage_days ORDER BY day DESC LIMIT ?',
      SHOWN_DAYS,
    )
    .toArray()
  const days = new Map(stored.map((day) => [day.day, { ...day }]))
  const dayAt = (at: number) => {
    const day = days.get(dayOf(at)) ?? { day: dayOf(at), issued: 0, reused: 0, revoked: 0, expired: 0 }
    days.set(day.day, day)
    return day
  }
  for (const [day, count] of issued) dayAt(day).issued += count
  if (reused > 0) dayAt(now).reused += reused
  return [...days.values()].sort((a, b) => b.day.localeCompare(a.day)).slice(0, SHOWN_DAYS)
}

/** Days that began before then (milliseconds since 1970). */
export function forgetUsage(sql: SqlStorage, before: number): void {
  sql.exec('DELETE FROM usage_days WHERE day < ?', dayOf(before))
}

const dayOf = (at: number): string => new Date(at).toISOString().slice(0, 10)
