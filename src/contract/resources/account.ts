/** The account behind the broker as operators see it. No name of a key, no secret: a foreign key's name may say anything. */

import type { RootKeyUse } from './reseal.ts'

/**
 * Why a key that Cloudflare lists, or does not list any more, is worth a look.
 * - `foreign`: not one of the broker's. `other-deployment`: another installation's on this account.
 * - `unclaimed`: with a marker of this deployment, and no tenant knows it. `lost`: a tenant's, whose secret is not here any more.
 * - `orphan`: left by a creation that failed or a key that was deleted; its tenant is deleting it.
 * - `missing`: a tenant's that Cloudflare does not have.
 */
export const FINDING_CLASSES = ['foreign', 'other-deployment', 'unclaimed', 'lost', 'orphan', 'missing'] as const
export type FindingClass = (typeof FINDING_CLASSES)[number]

export type FindingView = { uid: string; class: FindingClass; tenant: string | null; since: string }

export type SweepView = {
  state: 'never' | 'ordered' | 'running' | 'done' | 'failed'
  begunAt: string | null
  endedAt: string | null
  /** When the next one is due; null: there is nothing to sweep. */
  nextAt: string | null
  /** Tenants that were asked, and those that did not answer: what was found of their keys before stands. */
  tenants: { asked: number; failed: number }
  counts: Record<FindingClass, number>
  /** The first hundred, by uid. */
  findings: FindingView[]
}

export type AccountView = {
  /** Calls of Cloudflare's API in 5 minutes. */
  budget: {
    limit: number
    /** Of these, kept for operators and recovery. */
    reserved: number
    spent: number
    /** What Cloudflare itself said is left, while that is less than the budget; else null. */
    upstreamRemaining: number | null
    /** Cloudflare asked to wait until then; null: it did not. */
    blockedUntil: string | null
  }
  /** TURN keys of the account, the broker's or not, when they were last listed. */
  turnKeys: { count: number | null; limit: number; listedAt: string | null }
  sweep: SweepView
  /** Every root key that something needs, or that is configured. */
  rootKeys: RootKeyUse[]
}
