/** Schemas of answers about the Cloudflare account, reseals, the check of API tokens, and health. */
import * as z from 'zod/mini'
import { type AccountView, FINDING_CLASSES, type SweepView } from '../resources/account.ts'
import type { ResealView, RootKeyUse as RootKeyUseType } from '../resources/reseal.ts'
import type { TokenCheckView } from '../resources/tokenCheck.ts'
import { TenantId, TurnKeyUid } from '../values.ts'
import { answerOf, Count, RootKeyId, Timestamp } from './shapes.ts'

const MAX_ROOT_KEYS_SHOWN = 100

const RootKeyUse = answerOf<RootKeyUseType>()(
  z.strictObject({
    id: RootKeyId.check(z.describe('The id in `ROOT_KEYS`.')),
    current: z.boolean().check(z.describe('Whether it is the first of `ROOT_KEYS`, which seals and signs.')),
    configured: z.boolean().check(z.describe('Whether `ROOT_KEYS` has it.')),
    tenants: Count.check(z.describe('Tenants with secrets that need this key.')),
    tokenCheck: z.boolean().check(z.describe('Whether a check key of API tokens needs this key.')),
    clientTokensUntil: z
      .nullable(Timestamp)
      .check(z.describe('Until when client tokens signed with this key may be valid.')),
  }),
)
const RootKeys = z.array(RootKeyUse).check(z.maxLength(MAX_ROOT_KEYS_SHOWN))

export const Reseal = answerOf<ResealView>()(
  z.strictObject({
    state: z.enum(['none', 'running', 'done']).check(z.describe('`none`: no reseal was ever ordered.')),
    to: z.nullable(RootKeyId).check(z.describe('The root key that the secrets move to.')),
    orderedAt: z.nullable(Timestamp),
    tenants: Count.check(z.describe('Tenants in the reseal.')),
    done: Count.check(z.describe('Tenants that are done.')),
    moved: Count.check(z.describe('Secrets that were moved.')),
    unreadable: Count.check(z.describe('Secrets that no configured root key opens. They stay as they are.')),
    left: Count.check(z.describe('At most so many rows are left, of the tenants that have begun.')),
    rootKeys: RootKeys,
  }),
)

const Finding = z.strictObject({
  uid: TurnKeyUid,
  class: z.enum(FINDING_CLASSES),
  tenant: z.nullable(TenantId),
  since: Timestamp,
})

export const Sweep = answerOf<SweepView>()(
  z.strictObject({
    state: z.enum(['never', 'ordered', 'running', 'done', 'failed']),
    begunAt: z.nullable(Timestamp),
    endedAt: z.nullable(Timestamp),
    nextAt: z.nullable(Timestamp).check(z.describe('When the next sweep is due. `null`: there is nothing to sweep.')),
    tenants: z
      .strictObject({ asked: Count, failed: Count })
      .check(z.describe('Tenants that were asked, and those that did not answer. The findings of the latter stay.')),
    counts: z
      .strictObject({
        foreign: Count.check(z.describe('Listed at Cloudflare, and made by no broker.')),
        'other-deployment': Count.check(z.describe('Made by another installation on this account.')),
        unclaimed: Count.check(z.describe('Marked as made by this installation, but no tenant knows it.')),
        lost: Count.check(z.describe("A tenant's key whose secret is lost.")),
        orphan: Count.check(z.describe('Left over from a failed creation or a deletion. Its tenant is deleting it.')),
        missing: Count.check(z.describe("A tenant's key that Cloudflare does not list.")),
      })
      .check(z.describe('How many TURN keys of each class were found.')),
    findings: z.array(Finding).check(z.maxLength(100), z.describe('At most 100 findings, ordered by uid.')),
  }),
)

const Pool = z.strictObject({ limit: Count, spent: Count })

export const Account = answerOf<AccountView>()(
  z.strictObject({
    budget: z
      .strictObject({
        tenants: Pool.check(z.describe('For requests of tenants.')),
        recovery: Pool.check(z.describe('For settling what is in doubt.')),
        operators: Pool.check(z.describe('For requests of operators.')),
        upstreamRemaining: z.nullable(Count).check(z.describe('What Cloudflare says is left, while that is less.')),
        blockedUntil: z.nullable(Timestamp).check(z.describe('Until when Cloudflare asked to wait.')),
      })
      .check(z.describe("Calls to Cloudflare's API in 5 minutes, by who ordered them.")),
    turnKeys: z
      .strictObject({ count: z.nullable(Count), limit: Count, listedAt: z.nullable(Timestamp) })
      .check(z.describe('All TURN keys of the account, as of the last list.')),
    sweep: Sweep,
    rootKeys: RootKeys.check(z.describe('Every root key that is configured, or that a tenant needs.')),
  }),
)

const CheckKey = z.strictObject({
  number: Count.check(z.describe('Grows by one with each replacement.')),
  state: z
    .enum(['next', 'current', 'older'])
    .check(z.describe('`next`: not in use yet. `current`: new API tokens are made with it. `older`: replaced.')),
  signsFrom: Timestamp.check(z.describe('From when on API tokens are made with it.')),
  rootKey: RootKeyId.check(z.describe('The root key that it is sealed with.')),
})

export const TokenCheck = answerOf<TokenCheckView>()(
  z.strictObject({
    keys: z.array(CheckKey).check(z.maxLength(8), z.describe('Newest first; eight are kept.')),
  }),
)

export const Health = z.strictObject({ ok: z.literal(true) })
export const Readiness = z.strictObject({
  ready: z.boolean().check(z.describe('Whether the broker can serve requests. The reason is not shown.')),
})
