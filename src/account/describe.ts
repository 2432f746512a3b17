/** The account as an operator sees it: budget, number of keys, sweep, root keys. */

import type { AccountView } from '../contract/resources/account.ts'
import { instant } from '../contract/values.ts'
import { RESERVED_CALLS, spentCalls, TOTAL_CALLS } from './budget/budget.ts'
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
  return {
    budget: {
      limit: TOTAL_CALLS,
      reserved: RESERVED_CALLS,
      spent: spentCalls(ctx.sql, now),
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
