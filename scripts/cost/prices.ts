// Cloudflare's list prices on the plan Workers Paid, as read in November 2026 in its documentation, and what a month includes.

export interface Price {
  readonly usdPerMillion: number
  /** Each month. */
  readonly included: number
}

export const PRICES = {
  workerRequests: { usdPerMillion: 0.3, included: 10e6 },
  workerCpuMs: { usdPerMillion: 0.02, included: 30e6 },
  objectRequests: { usdPerMillion: 0.15, included: 1e6 },
  objectGbSeconds: { usdPerMillion: 12.5, included: 400_000 },
  rowsRead: { usdPerMillion: 0.001, included: 25e9 },
  rowsWritten: { usdPerMillion: 1, included: 50e6 },
  kvReads: { usdPerMillion: 0.5, included: 10e6 },
  kvWrites: { usdPerMillion: 5, included: 1e6 },
  logEvents: { usdPerMillion: 0.6, included: 20e6 },
} as const satisfies Record<string, Price>

export type Item = keyof typeof PRICES
export type Amounts = Readonly<Record<Item, number>>

export const STORAGE_USD_PER_GB_MONTH = 0.2
export const STORAGE_INCLUDED_GB = 5
export const PLAN_USD_PER_MONTH = 5
/** A Durable Object is billed with this much memory. */
export const OBJECT_GB = 0.128
