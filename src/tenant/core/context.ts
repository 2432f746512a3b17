/** What the Tenant's operations work with. Built once per object; passed in, so that each operation is a function. */
import type { CacheWriter } from '../../cache/writer.ts'
import type { CredentialsApi } from '../../cloudflare/credentials.ts'
import type { TurnKeysApi } from '../../cloudflare/turnKeys.ts'
import type { CircuitBreaker } from '../../concurrency/circuitBreaker.ts'
import type { KeyedMutex } from '../../concurrency/keyedMutex.ts'
import type { Semaphore } from '../../concurrency/semaphore.ts'
import type { SingleFlight } from '../../concurrency/singleFlight.ts'
import type { Config } from '../../env.ts'
import type { Issued } from '../../rpc/issuing.ts'
import type { AccountPort } from '../../rpc/ports.ts'
import type { Idempotency } from '../../storage/idempotency.ts'
import type { Jobs } from '../../storage/jobs.ts'
import type { LiveCounts } from '../memory/liveCounts.ts'
import type { MintInFlight } from '../memory/mintInFlight.ts'
import type { RefusalMemory } from '../memory/refusalMemory.ts'

export interface TenantContext {
  readonly sql: SqlStorage
  readonly storage: DurableObjectStorage
  readonly now: () => number
  readonly config: Config
  readonly jobs: Jobs
  readonly idempotency: Idempotency
  readonly account: () => AccountPort
  readonly turnKeys: TurnKeysApi
  readonly credentials: CredentialsApi
  readonly cache: CacheWriter
  /** Operations on one TURN key, or on the issuers, one after the other. */
  readonly mutex: KeyedMutex
  /** Requests that a client may repeat by itself, by request id, while they run. */
  readonly attempts: Map<string, Promise<unknown>>
  /** Intents that a request in this object is carrying out. One of another object's has only its job. */
  readonly creations: Set<string>
  /** Look-ups of one key share one question upstream. */
  readonly keyChecks: SingleFlight<void>
  readonly mints: {
    readonly semaphore: Semaphore
    /** Of the host that mints. */
    readonly circuitBreaker: CircuitBreaker
    readonly inFlight: Set<MintInFlight>
    /** Mints that parallel calls of one subject wait for together. */
    readonly shared: SingleFlight<Issued>
  }
  readonly revocationSemaphore: Semaphore
  /** Exact counts for the limits; loaded from the ledger when first asked. */
  readonly live: () => LiveCounts
  readonly refusals: RefusalMemory
  /** What an object remembers and may forget. */
  readonly memory: { pruning: boolean; readonly live: LiveCounts; readonly sealedWith: Set<string> }
  /** One synchronous transaction, and the alarm after it. */
  readonly transact: <T>(work: () => T) => T
  /** Work that goes on after the answer. */
  readonly waitUntil: (work: Promise<unknown>) => void
}
