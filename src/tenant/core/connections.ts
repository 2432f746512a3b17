/**
 * The object's connections. A Durable Object has six that wait for the headers of an answer; everything it does shares them, KV
 * included, and the runtime queues a seventh. This table gives away all six. Whatever asks Cloudflare or KV waits for its turn here.
 */
import { Semaphore } from '../../concurrency/semaphore.ts'

/** How many run at once, and how many more wait. */
const TABLE = {
  /** A mint that waits in the queue has its deadline there too. */
  mints: [3, 256],
  revocations: [1, 256],
  /** Calls about TURN keys, and the mints that prove a key's secret. */
  keys: [1, 64],
  kv: [1, 256],
} as const

export interface Connections {
  readonly mints: Semaphore
  readonly revocations: Semaphore
  readonly keys: Semaphore
  readonly kv: Semaphore
}

/** One for each object, built when it starts. */
export const newConnections = (): Connections => ({
  mints: new Semaphore(...TABLE.mints),
  revocations: new Semaphore(...TABLE.revocations),
  keys: new Semaphore(...TABLE.keys),
  kv: new Semaphore(...TABLE.kv),
})
