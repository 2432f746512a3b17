/** Schemas of answers with tenants. */
import * as z from 'zod/mini'
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
  day: z.iso.date().check(z.meta({ minLength: 10, maxLength: 10 }), z.describe('A day in UTC.')),
  issued: Count.check(z.describe('Credentials that were minted and handed out.')),
  reused: Count.check(z.describe('Live credentials that were answered again.')),
  revoked: Count.check(z.describe('Credentials that were revoked.')),
  expired: Count.check(z.describe('Credentials that expired.')),
})

const Warning = z.strictObject({
  code: z
    .literal('issuer_key_set_unusable')
    .check(
      z.describe('No JWT of the issuer can be verified: its key set cannot be had, is none, or has no key that fits.'),
    ),
  path: z.string().check(z.meta({ maxLength: 64 }), z.describe('The part of the policy.')),
  detail: z.string().check(z.meta({ maxLength: 512 }), z.describe('What is wrong.')),
})

export const Tenant = answerOf<TenantView>()(
  z.strictObject({
    id: TenantId,
    name: NonEmptyName,
    region: Region.check(z.describe("Where the tenant's storage was created.")),
    status: z.enum(STATUS),
    version: z
      .int()
      .check(z.minimum(1), z.describe('Increases with every change. The value of `ETag` and `If-Match`.')),
    policy: Policy.check(z.describe('Every setting, with the defaults filled in.')),
    counts: z
      .strictObject({ turnKeys: Count, apiTokens: Count, liveCredentials: Count })
      .check(z.describe('How many the tenant has now.')),
    usage: z.array(UsageDay).check(z.maxLength(7), z.describe('The last seven days with activity, newest first.')),
    createdAt: Timestamp,
    modifiedAt: Timestamp,
    warnings: z
      .exactOptional(z.array(Warning).check(z.minLength(1), z.maxLength(10)))
      .check(
        z.describe(
          'What works badly in the policy, which was stored all the same. Only in the answer to a creation or change.',
        ),
      ),
  }),
)

export const TenantSummary = answerOf<TenantSummaryType>()(
  z.strictObject({
    id: TenantId,
    name: NonEmptyName,
    region: Region,
    status: z.enum([...STATUS, 'creating']).check(z.describe('`creating`: the tenant is not set up yet.')),
    createdAt: Timestamp,
  }),
)
export const TenantPage = pageOf(TenantSummary)

export const TenantRestored = answerOf<RestoredTenant>()(
  z.strictObject({
    tenant: Tenant,
    undo: z
      .nullable(z.string().check(z.meta({ maxLength: 256 })))
      .check(z.describe("The bookmark of the state before, for Cloudflare's support. `null`: there was no state.")),
  }),
)

export const TenantDeletion = z.strictObject({ id: TenantId, status: z.literal('deleting') })
