/** What the Account's operations work with. Built once per object; passed in, so that each operation is a function. */
import type { TurnKeysApi } from '../cloudflare/turnKeys.ts'
import type { Idempotency } from '../storage/idempotency.ts'
import type { Jobs } from '../storage/jobs.ts'
import type { Tenant } from '../tenant/tenant.ts'

export interface AccountParts {
  /** The name of this installation, in the markers of its keys. */
  readonly deployment: string
  readonly sql: SqlStorage
  readonly now: () => number
  readonly jobs: Jobs
  readonly idempotency: Idempotency
  readonly turnKeys: TurnKeysApi
  readonly tenants: DurableObjectNamespace<Tenant>
  /** One synchronous transaction, and the alarm after it. */
  readonly transact: <T>(work: () => T) => T
}
