/** Repeats that a client makes by itself: reads its count of them, and tells the Tenant which of them was answered. */

import type { SdkRetry } from '../rpc/turnKeys.ts'
import type { Ctx } from './context.ts'
import { tenantObject } from './objects.ts'

/** Counts as the official SDK sends them; any other is no count. */
const COUNT = /^(0|[1-9][0-9]?)$/

/** `undefined` when the client counts nothing, or names its request itself by an `Idempotency-Key`. */
export function sdkRetryOf(c: Ctx, bodyHash: string): SdkRetry | undefined {
  const count = c.req.header('X-Stainless-Retry-Count')
  if (count === undefined || !COUNT.test(count) || c.req.header('Idempotency-Key') !== undefined) return
  return { count: Number(count), bodyHash }
}

/**
 * Called with the answer in hand. The runtime ends a Worker whose caller has hung up, so that nothing is told then and the
 * repeat is known as one. What is lost after this is not noticed: its repeat is a wish of its own (decision 11).
 */
export function confirmAnswer(c: Ctx, tenant: string): void {
  const told = tenantObject(c, tenant).answered(c.get('requestId'))
  c.executionCtx.waitUntil(told.catch(() => undefined))
}
