/**
 * The object's connections. A Durable Object has six that wait for the headers of an answer; everything it does shares them, KV
 * included, and the runtime queues a seventh. This table gives away all six. Whatever asks Cloudflare or KV waits for its turn here.
 */
import { Semaphore } from '../../concurrency/semaphore.ts'

const TABLE = {
  /** A mint that waits in the queue has its deadline there too. */
  mints: { atOnce: 3, queued: 256 },
  revocations: { atOnce: 1, queued: 256 },
  /** Calls about TURN keys, and the mints that prove a key's secret. */
  keys: { atOnce: 1, queued: 64 },
  kv: { atOnce: 1, queued: 256 },
} as const

export interface Connections {
  readonly mints: Semaphore
  readonly revocations: Semaphore
  readonly keys: Semaphore
  readonly kv: Semaphore
}

/** One for each object, built when it starts. */
export function newConnections(): Connections {
  const semaphore = ({ atOnce, queued }: { readonly atOnce: number; readonly queued: number }) =>
    new Semaphore(atOnce, queued)
  return {
    mints: semaphore(TABLE.mints),
    revocations: semaphore(TABLE.revocations),
    keys: semaphore(TABLE.keys),
    kv: semaphore(TABLE.kv),
  }
}
