/** Repeats that a client makes by itself: reads its count of them, and tells the Tenant which of them was answered. */
import type { Attempt } from '../tenant/attempts.ts'
import type { Ctx } from './context.ts'
import { tenantObject } from './reach.ts'

/** Counts as the official SDK sends them; any other is no count. */
const COUNT = /^(0|[1-9][0-9]?)$/

/** `undefined` when the client counts nothing, or names its request itself by an `Idempotency-Key`. */
export function attemptOf(c: Ctx, bodyHash: string): Attempt | undefined {
  const count = c.req.header('X-Stainless-Retry-Count')
  if (count === undefined || !COUNT.test(count) || c.req.header('Idempotency-Key') !== undefined) return
  return { count: Number(count), bodyHash }
}

/**
 * Called with the answer in hand, unless the caller has hung up: then nothing is told, and its repeat is known as one.
 * Bytes that are lost after this are not noticed: their repeat is a wish of its own.
 */
export function confirmAnswer(c: Ctx, tenant: string): void {
  if (c.req.raw.signal.aborted) return
  const told = tenantObject(c, tenant).answered(c.get('requestId'))
  c.executionCtx.waitUntil(told.catch(() => undefined))
}
