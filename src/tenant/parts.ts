/** What the Tenant's operations work with. Built once per object; passed in, so that each operation is a function. */
import type { Account } from '../account/account.ts'
import type { Caller, Request } from '../auth/caller.ts'
import type { CacheWriter } from '../cache/writer.ts'
import type { TurnKeysApi } from '../cloudflare/turnKeys.ts'
import type { Config } from '../env.ts'
import type { Idempotency } from '../storage/idempotency.ts'
import type { Jobs } from '../storage/jobs.ts'
import type { Serial } from './serial.ts'

export interface TenantParts {
  readonly sql: SqlStorage
  readonly storage: DurableObjectStorage
  readonly now: () => number
  readonly config: Config
  readonly jobs: Jobs
  readonly idempotency: Idempotency
  readonly account: () => DurableObjectStub<Account>
  readonly turnKeys: TurnKeysApi
  readonly cache: CacheWriter
  /** Operations on one TURN key, one after the other. */
  readonly serial: Serial
  /** Look-ups of one key share one question upstream. */
  readonly checks: Map<string, { readonly begunAt: number; readonly done: Promise<void> }>
  /** One synchronous transaction, and the alarm after it. */
  readonly transact: <T>(work: () => T) => T
  /** Work that goes on after the answer. */
  readonly waitUntil: (work: Promise<unknown>) => void
}

/** Who asks, and for the audit trail which request it was. */
export interface Call extends Request {
  readonly caller: Caller
}
