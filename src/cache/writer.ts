/**
 * Writes the Tenant's entries to KV, which takes about one write a second for each KV key. Of each key at most one put begins in a
 * second: meanwhile the newest value waits for its second. What KV has already is not written again within 20 s. A failed
 * put is reported to the owner, which retries it as a job. Never reads.
 */
import { pause, within } from '../concurrency/deadline.ts'
import type { Semaphore } from '../concurrency/semaphore.ts'

/** `expirationTtl` of every entry: after a deletion nothing of a tenant stays in KV for longer. */
const KEPT_SECONDS = 24 * 3_600
/** From its second on, with the wait for the connection. Some operations wait for the put before they answer. */
const PUT_DEADLINE_MS = 1_500
/** KV answers 429 to more than one write a second of a key. */
const BETWEEN_PUTS_MS = 1_000
/** An entry is believed for 60 s after `confirmedAt`: a third of that passes before the same value is confirmed again. */
const SAME_VALUE_MS = 20_000
/** A put cannot be aborted: it keeps its connection until KV has answered, and for this long if KV never answers. */
const HELD_MS = 30_000

/** `confirmedAt`: when the Tenant knew this to be true, in milliseconds since 1970. */
export interface Entry {
  readonly confirmedAt: number
}

/** What is known of one KV key. */
interface Line {
  /** When the last put began, in milliseconds since 1970. */
  putAt: number
  /** What KV took last; `undefined` where that is uncertain. */
  written: Entry | undefined
  /** The newest value that no put has taken yet, with those who wait for it. */
  next: { entry: Entry; readonly written: Promise<boolean>; readonly settle: (written: boolean) => void } | undefined
  draining: boolean
}

export class CacheWriter {
  readonly #kv: KVNamespace
  readonly #connection: Semaphore
  readonly #now: () => number
  readonly #failed: (key: string) => void
  readonly #lines = new Map<string, Line>()

  /** `connection`: puts of all KV keys share it. `failed` is called with the KV key of a put that failed. */
  constructor(
    kv: KVNamespace,
    {
      connection,
      now,
      failed,
    }: { readonly connection: Semaphore; readonly now: () => number; readonly failed: (key: string) => void },
  ) {
    this.#kv = kv
    this.#connection = connection
    this.#now = now
    this.#failed = failed
  }

  /** Resolves when this value, or a newer one, was written (`true`) or has failed. Never rejects. */
  put<E extends Entry>(key: string, entry: E): Promise<boolean> {
    const line = this.#lineOf(key)
    if (line.next) {
      line.next.entry = entry
      return line.next.written
    }
    if (!line.draining && isWritten(line, entry)) return Promise.resolve(true)
    const { promise, resolve } = Promise.withResolvers<boolean>()
    line.next = { entry, written: promise, settle: resolve }
    if (!line.draining) void this.#drain(key, line)
    return promise
  }

  async #drain(key: string, line: Line): Promise<void> {
    line.draining = true
    while (line.next) {
      // The clock of an object may be set back: the wait is bounded.
      const waitMs = Math.min(line.putAt + BETWEEN_PUTS_MS - this.#now(), BETWEEN_PUTS_MS)
      if (waitMs > 0 && !isWritten(line, line.next.entry)) await pause(waitMs)
      const { entry, settle } = line.next
      line.next = undefined
      const written = isWritten(line, entry) || (await this.#write(key, line, entry))
      settle(written)
      if (!written) this.#giveUp(key, line)
    }
    line.draining = false
  }

  async #write(key: string, line: Line, entry: Entry): Promise<boolean> {
    line.written = undefined
    const put = this.#connection.run(PUT_DEADLINE_MS, () => {
      line.putAt = this.#now()
      return within(HELD_MS, this.#kv.put(key, JSON.stringify(entry), { expirationTtl: KEPT_SECONDS }), () => undefined)
    })
    try {
      await within(PUT_DEADLINE_MS, put, late)
      line.written = entry
      return true
    } catch {
      return false
    }
  }

  /** One report for a put that failed: its job writes the value that is the newest then. */
  #giveUp(key: string, line: Line): void {
    line.next?.settle(false)
    line.next = undefined
    this.#failed(key)
  }

  #lineOf(key: string): Line {
    const known = this.#lines.get(key)
    if (known) return known
    const now = this.#now()
    for (const [name, { draining, putAt }] of this.#lines) {
      if (!draining && now - putAt >= SAME_VALUE_MS) this.#lines.delete(name)
    }
    const line = { putAt: Number.NEGATIVE_INFINITY, written: undefined, next: undefined, draining: false }
    this.#lines.set(key, line)
    return line
  }
}

/** Whether KV has this very value, confirmed less than 20 s before. */
function isWritten({ written }: Line, entry: Entry): boolean {
  if (!written) return false
  const youngerMs = entry.confirmedAt - written.confirmedAt
  return youngerMs >= 0 && youngerMs < SAME_VALUE_MS && unconfirmed(entry) === unconfirmed(written)
}

const unconfirmed = (entry: Entry): string => JSON.stringify({ ...entry, confirmedAt: 0 })

/** A late put may still land, even after a newer one: `confirmedAt` bounds how long an entry is believed. */
function late(): never {
  throw new Error('late')
}
