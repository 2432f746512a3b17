/** Automatic retries of Cloudflare's SDK: reads the retry count, and confirms to the Tenant that an answer was sent. */

import type { SdkRetry } from '../rpc/turnKeys.ts'
import type { Ctx } from './context.ts'
import { tenantObject } from './objects.ts'

/** The SDK sends 0 to 99. Any other value is ignored. */
const COUNT = /^(0|[1-9][0-9]?)$/

/** The retry count and the body's hash; `undefined` without a count, or if the client sent an `Idempotency-Key`. */
export function sdkRetryOf(c: Ctx, bodyHash: string): SdkRetry | undefined {
  const count = c.req.header('X-Stainless-Retry-Count')
  if (count === undefined || !COUNT.test(count) || c.req.header('Idempotency-Key') !== undefined) return
  return { count: Number(count), bodyHash }
}

/**
 * Confirms the answer to the Tenant just before it is returned. If the caller has disconnected, the runtime has ended
 * this request, so nothing is confirmed and the Tenant recognizes the retry. If the answer is lost after that, the retry
 * counts as a new request (decision 11).
 */
export function confirmAnswer(c: Ctx, tenant: string): void {
  const confirmation = tenantObject(c, tenant).answered(c.get('requestId'))
  c.executionCtx.waitUntil(confirmation.catch(() => undefined))
}
