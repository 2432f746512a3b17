/** What the Tenant's operations use. Built once per object and passed in, so that each operation is a plain function. */
import type { CacheWriter } from '../../cache/writer.ts'
import type { CredentialsApi } from '../../cloudflare/credentials.ts'
import type { TurnKeysApi } from '../../cloudflare/turnKeys.ts'
import type { CircuitBreaker } from '../../concurrency/circuitBreaker.ts'
import type { KeyedMutex } from '../../concurrency/keyedMutex.ts'
import type { Semaphore } from '../../concurrency/semaphore.ts'
import type { Config } from '../../env.ts'
import type { AccountPort } from '../../rpc/ports.ts'
import type { Idempotency } from '../../storage/idempotency.ts'
import type { Jobs } from '../../storage/jobs.ts'
import type { LiveCounts } from '../memory/liveCounts.ts'
import type { ObjectMemory } from '../memory/objectMemory.ts'
import type { TenantJobKind } from './jobKinds.ts'

export interface TenantContext {
  readonly sql: SqlStorage
  readonly storage: DurableObjectStorage
  readonly now: () => number
  readonly config: Config
  readonly jobs: Jobs<TenantJobKind>
  readonly idempotency: Idempotency
  readonly account: AccountPort
  readonly turnKeys: TurnKeysApi
  readonly credentials: CredentialsApi
  readonly cache: CacheWriter
  /** Runs operations on one TURN key, or on the issuers, one after the other. */
  readonly mutex: KeyedMutex
  readonly mints: {
    readonly semaphore: Semaphore
    /** For the host that mints. */
    readonly circuitBreaker: CircuitBreaker
  }
  readonly revocationSemaphore: Semaphore
  /** For calls about TURN keys, and for the mints that prove a key's secret. */
  readonly keySemaphore: Semaphore
  /** Exact counts for the limits; loaded from the ledger when first asked. */
  readonly live: () => LiveCounts
  readonly memory: ObjectMemory
  /** One synchronous transaction; sets the alarm after it. */
  readonly transact: <T>(work: () => T) => T
  /** Lets work go on after the answer. */
  readonly waitUntil: (work: Promise<unknown>) => void
}

/** What a decision on the object's rows needs: the rows, and the time in milliseconds since 1970. */
export type ReadContext = Pick<TenantContext, 'sql' | 'now'>
