/** The Cloudflare account as operators see it. Must not show names of keys: a foreign key's name may hold anything. */

import type { RootKeyUse } from './reseal.ts'

/**
 * Differences that the sweep finds between Cloudflare's list of TURN keys and the tenants' keys.
 * - `foreign`: listed, and made by no broker. `other-deployment`: made by another installation on this account.
 * - `unclaimed`: has a marker of this deployment, but no tenant knows it. `lost`: a tenant's, and its secret is lost.
 * - `orphan`: left over from a failed creation or a deletion. Its tenant is deleting it.
 * - `missing`: a tenant's key that Cloudflare does not list.
 */
export const FINDING_CLASSES = ['foreign', 'other-deployment', 'unclaimed', 'lost', 'orphan', 'missing'] as const
export type FindingClass = (typeof FINDING_CLASSES)[number]

export type FindingView = { uid: string; class: FindingClass; tenant: string | null; since: string }

export type SweepView = {
  state: 'never' | 'ordered' | 'running' | 'done' | 'failed'
  begunAt: string | null
  endedAt: string | null
  /** When the next sweep is due; `null`: there is nothing to sweep. */
  nextAt: string | null
  /** How many tenants were asked, and how many did not answer. For the latter the previous findings stay. */
  tenants: { asked: number; failed: number }
  counts: Record<FindingClass, number>
  /** At most 100 findings, ordered by uid. */
  findings: FindingView[]
}

type PoolView = { limit: number; spent: number }

export type AccountView = {
  /** Calls to Cloudflare's API in 5 minutes, by who ordered them; `recovery`: settling what is in doubt. */
  budget: {
    tenants: PoolView
    recovery: PoolView
    operators: PoolView
    /** The calls left according to Cloudflare, while fewer than the budget has; else `null`. */
    upstreamRemaining: number | null
    /** Until when Cloudflare asked to wait; `null`: no block. */
    blockedUntil: string | null
  }
  /** All TURN keys of the account, as of the last list. */
  turnKeys: { count: number | null; limit: number; listedAt: string | null }
  sweep: SweepView
  /** Every root key that is configured, or that a tenant needs. */
  rootKeys: RootKeyUse[]
}
