/** Reads the `Idempotency-Key` header. */
import { IdempotencyKey } from '../contract/values.ts'
import { BrokerError } from '../errors.ts'
import type { Ctx } from './context.ts'

/** The key with the body's hash; `undefined` without the header. Throws `invalid_request` if the key is malformed. */
export function idempotencyOf(c: Ctx, bodyHash: string): { key: string; bodyHash: string } | undefined {
  const header = c.req.header('Idempotency-Key')
  if (header === undefined) return
  const key = IdempotencyKey.safeParse(header)
  if (!key.success) {
    throw new BrokerError('invalid_request', { detail: 'Idempotency-Key: must be 1 to 255 visible ASCII characters' })
  }
  return { key: key.data, bodyHash }
}
