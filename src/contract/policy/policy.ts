/**
 * A tenant's policy: every setting with its bounds and its default. Only the settings that a tenant chose are stored,
 * so a changed default applies to every tenant that did not choose.
 */
import * as z from 'zod/mini'
import { BrokerError } from '../../errors.ts'
import { TtlSeconds, TurnKeyUid } from '../values.ts'
import { TenantIssuers } from './issuers.ts'
import { isWide, OriginRule } from './origins.ts'

const count = (min: number, max: number) => z.int().check(z.minimum(min), z.maximum(max))

/** At most 100 rules (origins.ts), none twice. */
const originList = <T extends z.ZodMiniType<string>>(rule: T) =>
  z.array(rule).check(
    z.maxLength(100),
    z.refine((list) => new Set(list).size === list.length, 'must not repeat an origin'),
  )

export const TRANSPORTS = ['udp', 'tcp', 'tls'] as const

const urls = z.strictObject({
  transports: z.array(z.enum(TRANSPORTS)).check(
    z.minLength(1),
    z.maxLength(TRANSPORTS.length),
    z.refine((list) => new Set(list).size === list.length, 'must not repeat a transport'),
  ),
  maxUrls: z.nullable(count(1, 16)),
})

const fields = {
  // A patch checks the rules. What a tenant has is only read: a later version may refuse a rule that is stored.
  allowedOrigins: originList(z.string()),
  acknowledgeWideOrigins: z.boolean(),
  requireOrigin: z.boolean(),
  defaultTtl: TtlSeconds,
  maxTtl: TtlSeconds,
  maxServerTtl: TtlSeconds,
  maxLiveCredentialsPerSubject: count(1, 1_000),
  maxLiveCredentials: count(1, 1_000_000),
  maxMintsPerMinute: count(1, 100_000),
  maxTurnKeys: count(0, 1_000),
  maxApiCallsPer5Min: count(1, 600),
  reuse: z.boolean(),
  defaultKeyId: z.nullable(TurnKeyUid),
  urls,
  fallback: z.enum(['error', 'stun']),
  issuers: TenantIssuers,
  auditRetentionDays: count(1, 3_650),
  auditRetentionRows: count(1_000, 5_000_000),
}

export const Policy = z.strictObject(fields).check(
  z.refine((policy) => policy.defaultTtl <= policy.maxTtl, {
    path: ['defaultTtl'],
    message: 'must not be above policy.maxTtl',
  }),
  z.refine((policy) => policy.acknowledgeWideOrigins || !policy.allowedOrigins.some(isWide), {
    path: ['allowedOrigins'],
    message: 'has * under two labels: set policy.acknowledgeWideOrigins to true, or write a longer domain',
  }),
)
export type Policy = z.infer<typeof Policy>

export const DEFAULT_POLICY: Policy = {
  allowedOrigins: [],
  acknowledgeWideOrigins: false,
  requireOrigin: false,
  defaultTtl: 3_600,
  maxTtl: 14_400,
  maxServerTtl: 86_400,
  maxLiveCredentialsPerSubject: 20,
  maxLiveCredentials: 10_000,
  maxMintsPerMinute: 600,
  maxTurnKeys: 5,
  maxApiCallsPer5Min: 60,
  reuse: true,
  defaultKeyId: null,
  urls: { transports: ['udp', 'tcp', 'tls'], maxUrls: null },
  fallback: 'error',
  issuers: [],
  auditRetentionDays: 90,
  auditRetentionRows: 2_000_000,
}

/** The chosen settings, at creation or in a merge patch (RFC 7396): absent = unchanged, `null` = the default. */
export const PolicyPatch = z.strictObject(nullishFields())
export type PolicyPatch = z.infer<typeof PolicyPatch>

/** Applies a merge patch to the chosen settings. A patch of `null` resets all of them. */
export function mergePolicy(chosen: PolicyPatch, patch: PolicyPatch | null): PolicyPatch {
  if (patch === null) return {}
  const urls = patch.urls ? { ...chosen.urls, ...patch.urls } : patch.urls
  const merged = { ...chosen, ...patch, ...(urls === undefined ? {} : { urls }) }
  return Object.fromEntries(Object.entries(merged).filter(([, value]) => value !== null))
}

/** The chosen settings with the defaults filled in. Throws a ZodError if they contradict each other. */
export const effectivePolicy = (chosen: PolicyPatch): Policy => Policy.parse(withDefaults(chosen))

/** Throws `invalid_request` if settings that are valid one by one contradict each other. */
export function requireSoundPolicy(chosen: PolicyPatch): void {
  const issue = Policy.safeParse(withDefaults(chosen)).error?.issues[0]
  if (issue) throw new BrokerError('invalid_request', { detail: `policy.${issue.path.join('.')}: ${issue.message}` })
}

function withDefaults(chosen: PolicyPatch): object {
  const urls = { ...DEFAULT_POLICY.urls, ...withoutNulls(chosen.urls ?? {}) }
  return { ...DEFAULT_POLICY, ...withoutNulls(chosen), urls }
}

const withoutNulls = (values: object) =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== null))

function nullishFields() {
  const nullish = <T extends z.ZodMiniType>(schema: T) => z.exactOptional(z.nullable(schema))
  return {
    allowedOrigins: nullish(originList(OriginRule)),
    acknowledgeWideOrigins: nullish(fields.acknowledgeWideOrigins),
    requireOrigin: nullish(fields.requireOrigin),
    defaultTtl: nullish(fields.defaultTtl),
    maxTtl: nullish(fields.maxTtl),
    maxServerTtl: nullish(fields.maxServerTtl),
    maxLiveCredentialsPerSubject: nullish(fields.maxLiveCredentialsPerSubject),
    maxLiveCredentials: nullish(fields.maxLiveCredentials),
    maxMintsPerMinute: nullish(fields.maxMintsPerMinute),
    maxTurnKeys: nullish(fields.maxTurnKeys),
    maxApiCallsPer5Min: nullish(fields.maxApiCallsPer5Min),
    reuse: nullish(fields.reuse),
    defaultKeyId: nullish(fields.defaultKeyId),
    urls: nullish(z.strictObject({ transports: nullish(urls.shape.transports), maxUrls: nullish(urls.shape.maxUrls) })),
    fallback: nullish(fields.fallback),
    issuers: nullish(fields.issuers),
    auditRetentionDays: nullish(fields.auditRetentionDays),
    auditRetentionRows: nullish(fields.auditRetentionRows),
  }
}
