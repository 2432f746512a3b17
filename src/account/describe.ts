/** The account as an operator sees it: budget, number of keys, sweep, root keys. */

import type { AccountView } from '../contract/resources/account.ts'
import { instant } from '../contract/values.ts'
import { POOLS, spentCalls } from './budget/budget.ts'
import { blockedUntil, callsLeft, upstreamRow } from './budget/upstreamLimits.ts'
import type { AccountContext } from './core/context.ts'
import { rootKeysInUse } from './rootKeys/inUse.ts'
import { sweepView } from './turnKeys/sweepRows.ts'

/** Cloudflare's maximum number of TURN keys in one account. */
const MAX_ACCOUNT_KEYS = 1_000

export function describeAccount(ctx: AccountContext): AccountView {
  const now = ctx.now()
  const upstream = upstreamRow(ctx.sql)
  const blocked = blockedUntil(upstream, now)
  const spent = spentCalls(ctx.sql, now)
  return {
    budget: {
      tenants: { limit: POOLS.tenant, spent: spent.tenant },
      recovery: { limit: POOLS.recovery, spent: spent.recovery },
      operators: { limit: POOLS.operator, spent: spent.operator },
      upstreamRemaining: callsLeft(upstream, now) ?? null,
      blockedUntil: blocked === undefined ? null : instant(blocked),
    },
    turnKeys: {
      count: upstream.keys,
      limit: MAX_ACCOUNT_KEYS,
      listedAt: upstream.listed_at === null ? null : instant(upstream.listed_at),
    },
    sweep: sweepView(ctx),
    rootKeys: rootKeysInUse(ctx),
  }
}
