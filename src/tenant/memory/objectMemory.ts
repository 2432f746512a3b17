/**
 * All that a Tenant's object remembers between requests, and what of it a rolled-back transaction makes wrong. An object
 * may end at any moment: nothing here is the only record of anything that must survive.
 */
import { SingleFlight } from '../../concurrency/singleFlight.ts'
import type { Issued } from '../../rpc/issuing.ts'
import { LiveCounts } from './liveCounts.ts'
import type { MintInFlight } from './mintInFlight.ts'
import { RefusalMemory } from './refusalMemory.ts'
import { ReuseMemory } from './reuseMemory.ts'

export class ObjectMemory {
  /** SDK retries under way, by request id. */
  readonly sdkRetries = new Map<string, Promise<unknown>>()
  /** Intents of creations that a request in this object is carrying out. One of an earlier object has only its job. */
  readonly creations = new Set<string>()
  /** Checks of TURN keys upstream, by uid: look-ups of one key share one question. */
  readonly keyChecks: SingleFlight<void>
  readonly mintsInFlight = new Set<MintInFlight>()
  /** Mints that parallel calls of one subject wait for together. */
  readonly sharedMints = new SingleFlight<Issued>()
  readonly refusals = new RefusalMemory()
  readonly reuses = new ReuseMemory()
  readonly live = new LiveCounts()
  /** Root keys that are known to be noted in `sealed_with`. */
  readonly sealedWith = new Set<string>()
  /** The period in which a mint last saw to the snapshot in KV (core/snapshotRenewal.ts). */
  snapshotPeriod: number | undefined
  /** Whether the pruning job is known to exist. */
  pruningScheduled = false
  /** When the pruning job last looked at what does not grow with mints, in milliseconds since 1970. */
  resourcesPrunedAt = 0

  constructor({ now, checkCoolDownMs }: { readonly now: () => number; readonly checkCoolDownMs: number }) {
    this.keyChecks = new SingleFlight({ ms: checkCoolDownMs, now })
  }

  /**
   * A transaction was rolled back: what was remembered of its rows is read again when it is next needed. What is still
   * under way (retries, creations, checks, mints, reservations) and the refusals and repeats counted so far stay.
   */
  forget(): void {
    this.pruningScheduled = false
    this.live.forget()
    this.sealedWith.clear()
  }

  /** The id that a mint in flight has chosen for a subject without a row. */
  subjectIdInFlight(subject: string): string | undefined {
    for (const mint of this.mintsInFlight)
      if (mint.subject === subject && mint.subjectId !== null) return mint.subjectId
    return
  }
}
