/** What the Account's operations work with. Built once per object; passed in, so that each operation is a function. */
import type { TurnKeysApi } from '../../cloudflare/turnKeys.ts'
import type { Region } from '../../contract/resources/tenants.ts'
import type { RootKeys } from '../../crypto/rootKeys.ts'
import type { TenantPort } from '../../rpc/ports.ts'
import type { Idempotency } from '../../storage/idempotency.ts'
import type { Jobs } from '../../storage/jobs.ts'
import type { AccountJobKind } from './jobKinds.ts'

export interface AccountContext {
  /** The name of this installation, in the markers of its keys. */
  readonly deployment: string
  readonly sql: SqlStorage
  readonly now: () => number
  readonly jobs: Jobs<AccountJobKind>
  readonly idempotency: Idempotency
  readonly turnKeys: TurnKeysApi
  readonly rootKeys: RootKeys
  /** A tenant's object. The first call ever says where it is to live. */
  readonly tenant: (id: string, locationHint?: Region) => TenantPort
  /** One synchronous transaction, and the alarm after it. */
  readonly transact: <T>(work: () => T) => T
}
