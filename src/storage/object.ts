/** Wrappers around an operation of either Durable Object: a transaction that sets the alarm, and a typed result. */
import { BrokerError, type Result } from '../errors.ts'
import * as log from './log.ts'

/** Runs one synchronous transaction, then sets the alarm. Throws `storage_failed` if SQL fails: nothing was stored. */
export const transaction =
  (storage: DurableObjectStorage, jobs: { readonly arm: () => void; readonly forget: () => void }) =>
  <T>(work: () => T): T => {
    try {
      const value = storage.transactionSync(work)
      jobs.arm()
      return value
    } catch (error) {
      jobs.forget()
      if (error instanceof BrokerError) throw error
      log.failure('storage_failed', {}, error)
      throw new BrokerError('storage_failed')
    }
  }

/** Runs an operation and returns its result. Never throws: a failure crosses RPC as data. */
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

const POSTPONED_MS = 60_000

/** For a deployment without a sound configuration: what is due stays due, and the next minute tries again. */
export const postponeAlarm = (storage: DurableObjectStorage): Promise<void> =>
  storage.setAlarm(Date.now() + POSTPONED_MS)
