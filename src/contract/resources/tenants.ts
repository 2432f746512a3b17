/** Tenants as the admin door and the tenant itself see them. */
import * as z from 'zod'
import { type Policy, PolicyPatch } from '../policy/policy.ts'
import { Instant, NonEmptyName, TenantId } from '../values.ts'

/** Durable Object location hints: where a tenant's object is asked to live. A hint, no promise; fixed at creation. */
export const REGIONS = ['wnam', 'enam', 'sam', 'weur', 'eeur', 'apac', 'oc', 'afr', 'me'] as const
export const Region = z.enum(REGIONS)
export type Region = z.infer<typeof Region>

export const TenantCreate = z.strictObject({
  id: TenantId,
  name: NonEmptyName,
  region: Region,
  policy: PolicyPatch.exactOptional(),
})
export type TenantCreate = z.infer<typeof TenantCreate>

/** RFC 7396 merge patch: arrays are replaced, `null` in the policy is its default. */
export const TenantPatch = z.strictObject({
  name: NonEmptyName.exactOptional(),
  status: z.enum(['active', 'suspended']).exactOptional(),
  policy: PolicyPatch.nullable().exactOptional(),
})
export type TenantPatch = z.infer<typeof TenantPatch>

/** Back to how the tenant was at a time; without one: set up anew, because its storage was lost. */
export const TenantRestore = z.strictObject({ at: Instant.exactOptional() })
export type TenantRestore = z.infer<typeof TenantRestore>

export type TenantStatus = 'active' | 'suspended' | 'deleting'

/** One UTC day. `issued` and `expired` unused: Cloudflare asks that more than half of what is issued be used. */
export type UsageDay = { day: string; issued: number; reused: number; revoked: number; expired: number }

/** One tenant, whole. Times are RFC 3339. */
export type TenantView = {
  id: string
  name: string
  region: Region
  status: TenantStatus
  /** Grows by one with every change; the value of `ETag` and `If-Match`. */
  version: number
  policy: Policy
  counts: { turnKeys: number; apiTokens: number; liveCredentials: number }
  /** The last seven days on which anything happened, newest first. */
  usage: UsageDay[]
  createdAt: string
  modifiedAt: string
}

/** One line of the directory. `creating` until the tenant's own object is set up. */
export type TenantSummary = {
  id: string
  name: string
  region: Region
  status: TenantStatus | 'creating'
  createdAt: string
}

/** `undo` names how it was before, for Cloudflare's support; `null`: there was nothing. */
export type RestoredTenant = { tenant: TenantView; undo: string | null }
