/**
 * The Account as the Tenant calls it: every call has a deadline, and one that breaks or is late is a typed failure like
 * any other. So a broken Account is never an `internal` here, and never holds an alarm with all its jobs.
 */
import type { Failure, Result } from '../../errors.ts'
import type { AccountPort } from '../../rpc/ports.ts'
import * as log from '../../storage/log.ts'

/** The Account's methods that Tenants call, and how long each may take. Upstream's list alone may take 8 s. */
const DEADLINES_MS = {
  spend: 2_500,
  claimTurnKey: 2_500,
  releaseTurnKey: 2_500,
  claimIssuers: 2_500,
  reportTenant: 5_000,
  markTenantDeleted: 5_000,
  markedTurnKeys: 10_000,
  observe: 2_500,
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
    claimTurnKey: bounded('claimTurnKey', (uid, tenant) => stub().claimTurnKey(uid, tenant)),
    releaseTurnKey: bounded('releaseTurnKey', (uid, tenant) => stub().releaseTurnKey(uid, tenant)),
    claimIssuers: bounded('claimIssuers', (tenant, pairs) => stub().claimIssuers(tenant, pairs)),
    reportTenant: bounded('reportTenant', (report) => stub().reportTenant(report)),
    markTenantDeleted: bounded('markTenantDeleted', (id) => stub().markTenantDeleted(id)),
    observe: bounded('observe', (observed) => stub().observe(observed)),
    markedTurnKeys: bounded('markedTurnKeys', (marker, since) => stub().markedTurnKeys(marker, since)),
  }
}

async function settled<T>(name: Name, call: () => Promise<Result<T>>): Promise<Result<T>> {
  let timer: ReturnType<typeof setTimeout> | null = null
  const late = new Promise<Result<T>>((resolve) => {
    timer = setTimeout(() => resolve({ ok: false, failure: LATE }), DEADLINES_MS[name])
  })
  try {
    return await Promise.race([call(), late])
  } catch (error) {
    log.failure('account_unreachable', { operation: name }, error)
    // The runtime's own flag for "not even begun".
    const overloaded = typeof error === 'object' && error !== null && 'overloaded' in error && error.overloaded === true
    return { ok: false, failure: overloaded ? LATE : { code: 'storage_failed' } }
  } finally {
    clearTimeout(timer)
  }
}
