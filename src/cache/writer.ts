/**
 * The Tenant's pen for KV: one put per KV key in flight (KV takes about one write a second for each), the newest
 * value wins, and a put that failed is told to the owner, who makes a job of it. Never reads.
 */
import { within } from '../concurrency/deadline.ts'

/** Entries vanish by themselves: nothing of a tenant lingers longer than this. */
const KEPT_SECONDS = 24 * 3_600
/** Who waits for a put waits for its answer: a put that takes longer counts as failed. */
const PUT_DEADLINE_MS = 1_500

export class CacheWriter {
  readonly #kv: KVNamespace
  readonly #failed: (key: string) => void
  /** KV keys with a put in flight, and the value that is to follow it. */
  readonly #inFlight = new Map<string, { next: object | undefined; settled: Promise<void> }>()

  constructor(kv: KVNamespace, failed: (key: string) => void) {
    this.#kv = kv
    this.#failed = failed
  }

  /** Resolves when this value, or a newer one, was taken or has failed. Never rejects. */
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
