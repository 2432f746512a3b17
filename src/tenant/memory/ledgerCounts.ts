/** What the ledger's counts are made of, as they are stored and loaded: by TURN key, second and hour of expiry. */
export const SECONDS_AN_HOUR = 3_600

export type CountedState = 'live' | 'revoking'

/** Credentials of one TURN key that expire in one second. */
export interface SecondCount {
  live: number
  revoking: number
}

/** The counts of one TURN key for one hour of expiry: what is stored in one row. `hour`: hours since 1970. */
export interface HourOfCounts {
  readonly keyUid: string
  readonly hour: number
  readonly seconds: readonly (readonly [second: number, count: SecondCount])[]
}

/** Counts as they are loaded. `expirySecond`: seconds since 1970, rounded up. `isStored`: they stand in a stored hour. */
export type LoadedCount = SecondCount & {
  readonly keyUid: string
  readonly expirySecond: number
  readonly isStored: boolean
}

/** What the ledger says. Mints in the order of their time, in milliseconds. */
export interface LedgerCounts {
  readonly counts: Iterable<LoadedCount>
  readonly mintedInLastMinute: readonly number[]
  /** When each ledger row after the stored counts was issued, in milliseconds since 1970. */
  readonly issuedSinceStored: readonly number[]
  /** The greatest number that a row of the ledger ever had, of a pruned row too. */
  readonly lastSeq: number
}

export const secondOf = (expiresAt: number): number => Math.ceil(expiresAt / 1_000)
export const hourOf = (second: number): number => Math.floor(second / SECONDS_AN_HOUR)
