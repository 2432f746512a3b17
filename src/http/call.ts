/** Turns what the guard established into the arguments of an RPC call. */
import { BrokerError } from '../errors.ts'
import type { Call } from '../rpc/calls.ts'
import type { Ctx } from './context.ts'

export function callOf(c: Ctx): Call {
  const caller = c.get('caller')
  // A route mounted without a guard is a bug: refuse it.
  if (!caller) throw new BrokerError('internal')
  return { caller, requestId: c.get('requestId') }
}

export function tenantOf(c: Ctx): string {
  const tenant = c.get('tenant')
  if (tenant === undefined) throw new BrokerError('internal')
  return tenant
}
