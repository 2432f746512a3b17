/** Schemas of answers about the Cloudflare account, reseals and health. */
import * as z from 'zod'
import { type AccountView, FINDING_CLASSES, type SweepView } from '../resources/account.ts'
import type { ResealView, RootKeyUse as RootKeyUseType } from '../resources/reseal.ts'
import { TenantId, TurnKeyUid } from '../values.ts'
import { answerOf, Count, RootKeyId, Timestamp } from './shapes.ts'

const MAX_ROOT_KEYS_SHOWN = 100

const RootKeyUse = answerOf<RootKeyUseType>()(
  z.strictObject({
    id: RootKeyId.describe('The id in `ROOT_KEYS`.'),
    current: z.boolean().describe('Whether it is the first of `ROOT_KEYS`, which seals and signs.'),
    configured: z.boolean().describe('Whether `ROOT_KEYS` has it.'),
    tenants: Count.describe('Tenants with secrets that need this key.'),
    clientTokensUntil: Timestamp.nullable().describe('Until when client tokens signed with this key may be valid.'),
  }),
)
const RootKeys = z.array(RootKeyUse).max(MAX_ROOT_KEYS_SHOWN)

export const Reseal = answerOf<ResealView>()(
  z.strictObject({
    state: z.enum(['none', 'running', 'done']).describe('`none`: no reseal was ever ordered.'),
    to: RootKeyId.nullable().describe('The root key that the secrets move to.'),
    orderedAt: Timestamp.nullable(),
    tenants: Count.describe('Tenants in the reseal.'),
    done: Count.describe('Tenants that are done.'),
    moved: Count.describe('Secrets that were moved.'),
    unreadable: Count.describe('Secrets that no configured root key opens. They stay as they are.'),
    left: Count.describe('At most so many rows are left, of the tenants that have begun.'),
    rootKeys: RootKeys,
  }),
)

const Finding = z.strictObject({
  uid: TurnKeyUid,
  class: z.enum(FINDING_CLASSES),
  tenant: TenantId.nullable(),
  since: Timestamp,
})

export const Sweep = answerOf<SweepView>()(
  z.strictObject({
    state: z.enum(['never', 'ordered', 'running', 'done', 'failed']),
    begunAt: Timestamp.nullable(),
    endedAt: Timestamp.nullable(),
    nextAt: Timestamp.nullable().describe('When the next sweep is due. `null`: there is nothing to sweep.'),
    tenants: z
      .strictObject({ asked: Count, failed: Count })
      .describe('Tenants that were asked, and those that did not answer. The findings of the latter stay.'),
    counts: z
      .strictObject({
        foreign: Count.describe('Listed at Cloudflare, and made by no broker.'),
        'other-deployment': Count.describe('Made by another installation on this account.'),
        unclaimed: Count.describe('Marked as made by this installation, but no tenant knows it.'),
        lost: Count.describe("A tenant's key whose secret is lost."),
        orphan: Count.describe('Left over from a failed creation or a deletion. Its tenant is deleting it.'),
        missing: Count.describe("A tenant's key that Cloudflare does not list."),
      })
      .describe('How many TURN keys of each class were found.'),
    findings: z.array(Finding).max(100).describe('At most 100 findings, ordered by uid.'),
  }),
)

const Pool = z.strictObject({ limit: Count, spent: Count })

export const Account = answerOf<AccountView>()(
  z.strictObject({
    budget: z
      .strictObject({
        tenants: Pool.describe('For requests of tenants.'),
        recovery: Pool.describe('For settling what is in doubt.'),
        operators: Pool.describe('For requests of operators.'),
        upstreamRemaining: Count.nullable().describe('What Cloudflare says is left, while that is less.'),
        blockedUntil: Timestamp.nullable().describe('Until when Cloudflare asked to wait.'),
      })
      .describe("Calls to Cloudflare's API in 5 minutes, by who ordered them."),
    turnKeys: z
      .strictObject({ count: Count.nullable(), limit: Count, listedAt: Timestamp.nullable() })
      .describe('All TURN keys of the account, as of the last list.'),
    sweep: Sweep,
    rootKeys: RootKeys.describe('Every root key that is configured, or that a tenant needs.'),
  }),
)

export const Health = z.strictObject({ ok: z.literal(true) })
export const Readiness = z.strictObject({
  ready: z.boolean().describe('Whether the broker can serve requests. The reason is not shown.'),
})
