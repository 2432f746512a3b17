/** Stubs of the Durable Objects, and the error of an RPC call that broke. */
import type { Account } from '../account/account.ts'
import { parseConfig } from '../env.ts'
import { BrokerError, type Result, unwrap } from '../errors.ts'
import { isOverloaded } from '../rpc/overloaded.ts'
import { accountStub } from '../storage/names.ts'
import type { Tenant } from '../tenant/tenant.ts'
import type { Ctx } from './context.ts'

export const accountObject = (c: Ctx): DurableObjectStub<Account> => {
  const parsed = parseConfig(c.env)
  return accountStub(c.env.ACCOUNT, parsed.ok ? parsed.config.accountLocation : undefined)
}

/** Only for a tenant that exists (see `tenantExists`): a call creates the object. */
export const tenantObject = (c: Ctx, tenant: string): DurableObjectStub<Tenant> =>
  c.env.TENANTS.get(c.env.TENANTS.idFromName(tenant))

export async function tenantExists(c: Ctx, tenant: string): Promise<boolean> {
  const { tenants } = c.get('isolateCache')
  if (tenants.get(tenant)) return true
  const exists = await call(accountObject(c).isTenant(tenant))
  // An absence is not kept here: the tenant may be created at any moment.
  if (exists) tenants.set(tenant, true)
  return exists
}

/** The value of an RPC that is safe to repeat. Throws `storage_failed` if the call breaks. */
export const call = <T>(rpc: Promise<Result<T>>): Promise<T> => settle(rpc, new BrokerError('storage_failed'))

/** The value of an RPC that must not run twice. Throws `outcome_unknown` if the call breaks. */
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
