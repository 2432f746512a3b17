/** Schema of tenants, as operators and the tenant itself see them. */
import * as z from 'zod/mini'
import { type Policy, PolicyPatch } from '../policy/policy.ts'
import { Instant, NonEmptyName, TenantId } from '../values.ts'

/** Durable Object location hints, fixed at a tenant's creation. Cloudflare does not guarantee them. */
export const REGIONS = ['wnam', 'enam', 'sam', 'weur', 'eeur', 'apac', 'apac-ne', 'apac-se', 'oc', 'afr', 'me'] as const
/** `nearest`: no location hint. Cloudflare then creates the object near the Account, which makes the first call. */
export const Region = z.enum([...REGIONS, 'nearest'])
export type Region = z.infer<typeof Region>

export const TenantCreate = z.strictObject({
  id: TenantId,
  name: NonEmptyName,
  region: z._default(Region, 'nearest'),
  policy: z.exactOptional(PolicyPatch),
})
export type TenantCreate = z.infer<typeof TenantCreate>

/** RFC 7396 merge patch: arrays are replaced; `null` in the policy resets a setting to its default. */
export const TenantPatch = z.strictObject({
  name: z.exactOptional(NonEmptyName),
  status: z.exactOptional(z.enum(['active', 'suspended'])),
  policy: z.exactOptional(z.nullable(PolicyPatch)),
})
export type TenantPatch = z.infer<typeof TenantPatch>

/** Restores the tenant to a point in time. Without `at`: sets it up again after its storage was lost. */
export const TenantRestore = z.strictObject({ at: z.exactOptional(Instant) })
export type TenantRestore = z.infer<typeof TenantRestore>

export type TenantStatus = 'active' | 'suspended' | 'deleting'

/** Counters of one UTC day. Cloudflare asks that more than half of the issued credentials be used. */
export type UsageDay = { day: string; issued: number; reused: number; revoked: number; expired: number }

/** What works badly in a policy that was stored all the same. */
export type PolicyWarning = {
  code: 'issuer_key_set_unusable'
  /** As in error texts, such as `policy.issuers.0`. */
  path: string
  detail: string
}

/** One tenant with all fields. Times are RFC 3339. */
export type TenantView = {
  id: string
  name: string
  region: Region
  status: TenantStatus
  /** Increases by one with every change. The value of `ETag` and `If-Match`. */
  version: number
  policy: Policy
  counts: { turnKeys: number; apiTokens: number; liveCredentials: number }
  /** The last seven days with activity, newest first. */
  usage: UsageDay[]
  createdAt: string
  modifiedAt: string
  /** Only in the answer to a creation or change of the policy, if there are any. */
  warnings?: PolicyWarning[]
}

/** As the answer to a creation or change of the policy has it. */
export const withWarnings = (tenant: TenantView, warnings: readonly PolicyWarning[]): TenantView =>
  warnings.length === 0 ? tenant : { ...tenant, warnings: [...warnings] }

/** One entry of the list of tenants. `creating` until the Tenant object is set up. */
export type TenantSummary = {
  id: string
  name: string
  region: Region
  status: TenantStatus | 'creating'
  createdAt: string
}

/** `undo`: the bookmark of the state before the restore, for Cloudflare's support; `null`: there was no state. */
export type RestoredTenant = { tenant: TenantView; undo: string | null }
