/** What both Durable Object classes do around an operation: one transaction with its alarm, and a typed answer. */
import { BrokerError, type Result } from '../errors.ts'
import * as log from './log.ts'

/** One synchronous transaction. SQL that fails is `storage_failed`: nothing of the decision was stored. */
export const transaction =
  (storage: DurableObjectStorage, jobs: { readonly arm: () => void }) =>
  <T>(work: () => T): T => {
    try {
      const value = storage.transactionSync(work)
      jobs.arm()
      return value
    } catch (error) {
      if (error instanceof BrokerError) throw error
      log.failure('storage_failed', {}, error)
      throw new BrokerError('storage_failed')
    }
  }

/** Runs an operation; nothing is thrown across RPC. */
export async function answering<P extends object, T>(
  parts: P | { readonly misconfigured: string },
  operation: (parts: P) => T | Promise<T>,
): Promise<Result<T>> {
  if ('misconfigured' in parts) {
    return { ok: false, failure: { code: 'misconfigured', detail: `${parts.misconfigured} is missing or malformed.` } }
  }
  try {
    return { ok: true, value: await operation(parts) }
  } catch (error) {
    if (error instanceof BrokerError) return { ok: false, failure: error.failure }
    log.failure('operation_failed', {}, error)
    return { ok: false, failure: { code: 'internal' } }
  }
}
