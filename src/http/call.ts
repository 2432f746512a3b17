/** What the guard established, as the objects want it. */
import { BrokerError } from '../errors.ts'
import type { Call } from '../rpc/calls.ts'
import type { Ctx } from './context.ts'

export function callOf(c: Ctx): Call {
  const caller = c.get('caller')
  // A handler without a guard in front of it is a fault of ours, and opens nothing.
  if (!caller) throw new BrokerError('internal')
  return { caller, requestId: c.get('requestId') }
}

export function tenantOf(c: Ctx): string {
  const tenant = c.get('tenant')
  if (tenant === undefined) throw new BrokerError('internal')
  return tenant
}
