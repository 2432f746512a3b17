/** Reaching the Durable Objects from a door: the stubs, and what a call that broke on the way means for the caller. */
import type { Account } from '../account/account.ts'
import { BrokerError, type Result, unwrap } from '../errors.ts'
import { isOverloaded } from '../rpc/overloaded.ts'
import { ACCOUNT_NAME } from '../storage/names.ts'
import type { Tenant } from '../tenant/tenant.ts'
import type { Ctx } from './context.ts'

export const accountObject = (c: Ctx): DurableObjectStub<Account> =>
  c.env.ACCOUNT.get(c.env.ACCOUNT.idFromName(ACCOUNT_NAME))

/** Only for a tenant that is known to exist: see `tenantExists`. */
export const tenantObject = (c: Ctx, tenant: string): DurableObjectStub<Tenant> =>
  c.env.TENANTS.get(c.env.TENANTS.idFromName(tenant))

export async function tenantExists(c: Ctx, tenant: string): Promise<boolean> {
  const { tenants } = c.get('edge')
  if (tenants.get(tenant)) return true
  const exists = await call(accountObject(c).isTenant(tenant))
  // An absence is not remembered: the tenant may be created the next moment.
  if (exists) tenants.set(tenant, true)
  return exists
}

/** The value of an RPC, for what may be repeated without harm. */
export const call = <T>(rpc: Promise<Result<T>>): Promise<T> => settle(rpc, new BrokerError('storage_failed'))

/** The value of an RPC that must not be done twice: if it breaks on the way, nobody knows what it did. */
export const callUnrepeatable = <T>(rpc: Promise<Result<T>>): Promise<T> =>
  settle(rpc, new BrokerError('outcome_unknown', { doNotRepeat: true }))

async function settle<T>(rpc: Promise<Result<T>>, broken: BrokerError): Promise<T> {
  let result: Result<T>
  try {
    result = await rpc
  } catch (error) {
    const overloaded = isOverloaded(error)
    const exception = error instanceof Error ? error.name : typeof error
    console.error(JSON.stringify({ level: 'error', event: 'object_unreachable', overloaded, exception }))
    throw overloaded ? new BrokerError('broker_busy', { retryAfterSeconds: 1 }) : broken
  }
  return unwrap(result)
}
