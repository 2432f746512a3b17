/** What every operation of the Account gets as its first argument. Built once per object. */
import type { TurnKeysApi } from '../../cloudflare/turnKeys.ts'
import type { RootKeys } from '../../crypto/rootKeys.ts'
import type { TenantPort } from '../../rpc/ports.ts'
import type { Idempotency } from '../../storage/idempotency.ts'
import type { Jobs } from '../../storage/jobs.ts'
import type { AccountJobKind } from './jobKinds.ts'

export interface AccountContext {
  /** Name of this installation, in the markers of its keys. */
  readonly deployment: string
  readonly sql: SqlStorage
  readonly now: () => number
  readonly jobs: Jobs<AccountJobKind>
  readonly idempotency: Idempotency
  readonly turnKeys: TurnKeysApi
  readonly rootKeys: RootKeys
  /** Stub of a Tenant object. The location hint only matters for the first call, which creates the object. */
  readonly tenant: (id: string, locationHint?: DurableObjectLocationHint) => TenantPort
  /** Runs one synchronous transaction, then sets the alarm. */
  readonly transact: <T>(work: () => T) => T
  /** Lets work go on after the answer. */
  readonly waitUntil: (work: Promise<unknown>) => void
}
