/** Taking calls of Cloudflare's API out of the account's budget, before they are made. */
import type { Caller } from '../../auth/caller.ts'
import { type Result, unwrap } from '../../errors.ts'
import type { Spending } from '../../rpc/budget.ts'
import type { TenantContext } from './context.ts'
import { tenantRecord } from './tenantRow.ts'

/** What a caller orders is paid out of the operators' share or the tenant's own. */
export const purposeOf = ({ kind }: Caller): Spending['purpose'] => (kind === 'operator' ? 'operator' : 'tenant')

/** Asks for one call; the answer says whether it may be made. `intent`: of the creation it is for. */
export function askForCall(
  ctx: Pick<TenantContext, 'sql' | 'account'>,
  purpose: Spending['purpose'],
  intent?: string,
): Promise<Result<void>> {
  const { id, policy } = tenantRecord(ctx)
  const spending = { tenant: id, limit: policy.maxApiCallsPer5Min, purpose }
  return ctx.account.spend(intent === undefined ? spending : { ...spending, intent })
}

/** Takes one call out of the budget; throws `rate_limited`, or what the Account's failure is, when there is none. */
export async function spendCall(
  ctx: Pick<TenantContext, 'sql' | 'account'>,
  purpose: Spending['purpose'],
  intent?: string,
): Promise<void> {
  unwrap(await askForCall(ctx, purpose, intent))
}
