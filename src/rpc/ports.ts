/**
 * The RPC interfaces between Account and Tenant. The compiler checks the classes against them where the stubs are made.
 * Each side imports this file and must not import the other.
 */
import type { TenantSnapshot } from '../cache/entries.ts'
import type { Observed } from '../cloudflare/rateHeaders.ts'
import type { IssuerShare } from '../contract/policy/issuers.ts'
import type { TenantView } from '../contract/resources/tenants.ts'
import type { SealedCheckKey } from '../crypto/checkKeys.ts'
import type { Result } from '../errors.ts'
import type { Spending } from './budget.ts'
import type { ResealOrder, ResealReport } from './reseal.ts'
import type { Bookmarks, Erasure, RestoreFinish } from './restore.ts'
import type { ReconcileOrder, Reconciliation } from './sweep.ts'
import type { TenantReport, TenantSetUp } from './tenants.ts'

/** The methods of the Account that Tenants call. */
export interface AccountPort {
  spend(spending: Spending): Promise<Result<void>>
  giveBack(spending: Spending): Promise<Result<void>>
  claimTurnKey(uid: string, tenant: string): Promise<Result<boolean>>
  releaseTurnKey(uid: string, tenant: string): Promise<Result<void>>
  claimIssuers(tenant: string, shares: readonly IssuerShare[]): Promise<Result<void>>
  reportTenant(report: TenantReport): Promise<Result<number>>
  markTenantDeleted(id: string): Promise<Result<void>>
  markedTurnKeys(marker: string, since: number): Promise<Result<string[]>>
  observe(observed: Observed): Promise<Result<void>>
  recordErasures(tenant: string, erasures: readonly Erasure[]): Promise<Result<void>>
  isBeingRestored(tenant: string): Promise<Result<boolean>>
  checkKeys(): Promise<Result<SealedCheckKey[]>>
}

/** The methods of a Tenant that the Account calls. */
export interface TenantPort {
  init(setUp: TenantSetUp): Promise<Result<TenantView>>
  reseal(order: ResealOrder): Promise<Result<ResealReport>>
  examineKeys(examination: ReconcileOrder): Promise<Result<Reconciliation>>
  bookmarksAt(at: number): Promise<Result<Bookmarks>>
  setBack(to: string): Promise<Result<void>>
  eraseAgain(subjectIds: readonly string[]): Promise<Result<void>>
  comeBack(call: RestoreFinish): Promise<Result<TenantView | null>>
  edgeSnapshot(): Promise<Result<TenantSnapshot>>
}
