/**
 * Writes the Tenant's entries to KV. One put is in flight per KV key, because KV takes about one write a second for each;
 * meanwhile only the newest value waits. A failed put is reported to the owner, which retries it as a job. Never reads.
 */
import { within } from '../concurrency/deadline.ts'

/** `expirationTtl` of every entry: after a deletion nothing of a tenant stays in KV for longer. */
const KEPT_SECONDS = 24 * 3_600
/** Some operations wait for the put before they answer, so a put that takes longer counts as failed. */
const PUT_DEADLINE_MS = 1_500

export class CacheWriter {
  readonly #kv: KVNamespace
  readonly #failed: (key: string) => void
  /** By KV key: the put in flight, and the value to write after it. */
  readonly #inFlight = new Map<string, { next: object | undefined; settled: Promise<void> }>()

  constructor(kv: KVNamespace, failed: (key: string) => void) {
    this.#kv = kv
    this.#failed = failed
  }

  /** Resolves when this value, or a newer one, was written or has failed. Never rejects. */
  put(key: string, entry: object): Promise<void> {
    const running = this.#inFlight.get(key)
    if (running) {
      running.next = entry
      return running.settled
    }
    const slot = { next: undefined, settled: Promise.resolve() }
    this.#inFlight.set(key, slot)
    slot.settled = this.#drain(key, entry, slot)
    return slot.settled
  }

  async #drain(key: string, first: object, slot: { next: object | undefined }): Promise<void> {
    let entry: object | undefined = first
    try {
      while (entry) {
        slot.next = undefined
        const put = this.#kv.put(key, JSON.stringify(entry), { expirationTtl: KEPT_SECONDS })
        await within(PUT_DEADLINE_MS, put, late)
        entry = slot.next
      }
    } catch {
      this.#failed(key)
    } finally {
      this.#inFlight.delete(key)
    }
  }
}

/** A late put may still land, even after a newer one: `confirmedAt` bounds how long an entry is believed. */
function late(): never {
  throw new Error('late')
}
