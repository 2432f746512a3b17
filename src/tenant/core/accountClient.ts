/**
 * The Account as the Tenant calls it: every call has a deadline, and a call that breaks or is late becomes a typed failure. A
 * broken Account is therefore never an `internal` error here, and never blocks an alarm with its jobs.
 */
import { within } from '../../concurrency/deadline.ts'
import type { Failure, Result } from '../../errors.ts'
import { isOverloaded } from '../../rpc/overloaded.ts'
import type { AccountPort } from '../../rpc/ports.ts'
import * as log from '../../storage/log.ts'

/** How long each of the Account's methods may take. Cloudflare's list alone may take 8 s. */
const DEADLINES_MS = {
  spend: 2_500,
  giveBack: 2_500,
  claimTurnKey: 2_500,
  releaseTurnKey: 2_500,
  claimIssuers: 2_500,
  reportTenant: 5_000,
  markTenantDeleted: 5_000,
  markedTurnKeys: 10_000,
  observe: 2_500,
  recordErasures: 2_500,
  // A tenant whose object starts waits for this one.
  isBeingRestored: 1_000,
  checkKeys: 2_500,
} as const satisfies Record<keyof AccountPort, number>

type Name = keyof AccountPort

const LATE: Failure = { code: 'broker_busy', retryAfterSeconds: 1 }

export function accountCalls(stub: () => AccountPort): AccountPort {
  const bounded =
    <A extends unknown[], T>(name: Name, call: (...args: A) => Promise<Result<T>>) =>
    (...args: A): Promise<Result<T>> =>
      settled(name, () => call(...args))
  return {
    spend: bounded('spend', (spending) => stub().spend(spending)),
    giveBack: bounded('giveBack', (spending) => stub().giveBack(spending)),
    claimTurnKey: bounded('claimTurnKey', (uid, tenant) => stub().claimTurnKey(uid, tenant)),
    releaseTurnKey: bounded('releaseTurnKey', (uid, tenant) => stub().releaseTurnKey(uid, tenant)),
    claimIssuers: bounded('claimIssuers', (tenant, shares) => stub().claimIssuers(tenant, shares)),
    reportTenant: bounded('reportTenant', (report) => stub().reportTenant(report)),
    markTenantDeleted: bounded('markTenantDeleted', (id) => stub().markTenantDeleted(id)),
    observe: bounded('observe', (observed) => stub().observe(observed)),
    recordErasures: bounded('recordErasures', (tenant, erasures) => stub().recordErasures(tenant, erasures)),
    isBeingRestored: bounded('isBeingRestored', (tenant) => stub().isBeingRestored(tenant)),
    checkKeys: bounded('checkKeys', () => stub().checkKeys()),
    markedTurnKeys: bounded('markedTurnKeys', (marker, since) => stub().markedTurnKeys(marker, since)),
  }
}

async function settled<T>(name: Name, call: () => Promise<Result<T>>): Promise<Result<T>> {
  try {
    return await within(DEADLINES_MS[name], call(), () => ({ ok: false, failure: LATE }))
  } catch (error) {
    log.failure('account_unreachable', { operation: name }, error)
    return { ok: false, failure: isOverloaded(error) ? LATE : { code: 'storage_failed' } }
  }
}
