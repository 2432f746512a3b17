/** Schemas of answers with tenants. */
import * as z from 'zod'
import { Policy } from '../policy/policy.ts'
import {
  Region,
  type RestoredTenant,
  type TenantSummary as TenantSummaryType,
  type TenantView,
} from '../resources/tenants.ts'
import { NonEmptyName, TenantId } from '../values.ts'
import { answerOf, Count, pageOf, Timestamp } from './shapes.ts'

const STATUS = ['active', 'suspended', 'deleting'] as const

const UsageDay = z.strictObject({
  day: z.iso.date().meta({ minLength: 10, maxLength: 10 }).describe('A day in UTC.'),
  issued: Count.describe('Credentials that were minted and handed out.'),
  reused: Count.describe('Live credentials that were answered again.'),
  revoked: Count.describe('Credentials that were revoked.'),
  expired: Count.describe('Credentials that expired.'),
})

export const Tenant = answerOf<TenantView>()(
  z.strictObject({
    id: TenantId,
    name: NonEmptyName,
    region: Region.describe("Where the tenant's storage was created."),
    status: z.enum(STATUS),
    version: z.int().min(1).describe('Increases with every change. The value of `ETag` and `If-Match`.'),
    policy: Policy.describe('Every setting, with the defaults filled in.'),
    counts: z
      .strictObject({ turnKeys: Count, apiTokens: Count, liveCredentials: Count })
      .describe('How many the tenant has now.'),
    usage: z.array(UsageDay).max(7).describe('The last seven days with activity, newest first.'),
    createdAt: Timestamp,
    modifiedAt: Timestamp,
  }),
)

export const TenantSummary = answerOf<TenantSummaryType>()(
  z.strictObject({
    id: TenantId,
    name: NonEmptyName,
    region: Region,
    status: z.enum([...STATUS, 'creating']).describe('`creating`: the tenant is not set up yet.'),
    createdAt: Timestamp,
  }),
)
export const TenantPage = pageOf(TenantSummary)

export const TenantRestored = answerOf<RestoredTenant>()(
  z.strictObject({
    tenant: Tenant,
    undo: z
      .string()
      .meta({ maxLength: 256 })
      .nullable()
      .describe("The bookmark of the state before, for Cloudflare's support. `null`: there was no state."),
  }),
)

export const TenantDeletion = z.strictObject({ id: TenantId, status: z.literal('deleting') })
