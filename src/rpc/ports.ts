/**
 * What the two objects ask of each other: the only methods that Account and Tenant know of one another. The classes are
 * checked against it where their stubs are made; each side imports this file and never the other.
 */
import type { TenantSnapshot } from '../cache/entries.ts'
import type { Observed } from '../cloudflare/rateHeaders.ts'
import type { IssuerPair } from '../contract/policy/issuers.ts'
import type { TenantView } from '../contract/resources/tenants.ts'
import type { Result } from '../errors.ts'
import type { Spending } from './budget.ts'
import type { ResealOrder, ResealReport } from './reseal.ts'
import type { Bookmarks, RestoreFinish } from './restore.ts'
import type { ReconcileOrder, Reconciliation } from './sweep.ts'
import type { TenantReport, TenantSetUp } from './tenants.ts'

/** The Account, as Tenants call it. */
export interface AccountPort {
  spend(spending: Spending): Promise<Result<void>>
  claimTurnKey(uid: string, tenant: string): Promise<Result<boolean>>
  releaseTurnKey(uid: string, tenant: string): Promise<Result<void>>
  claimIssuers(tenant: string, pairs: readonly IssuerPair[]): Promise<Result<void>>
  reportTenant(report: TenantReport): Promise<Result<number>>
  markTenantDeleted(id: string): Promise<Result<void>>
  markedTurnKeys(marker: string, since: number): Promise<Result<string[]>>
  observe(observed: Observed): Promise<Result<void>>
}

/** A Tenant, as the Account calls it. */
export interface TenantPort {
  init(setUp: TenantSetUp): Promise<Result<TenantView>>
  reseal(order: ResealOrder): Promise<Result<ResealReport>>
  examineKeys(examination: ReconcileOrder): Promise<Result<Reconciliation>>
  bookmarksAt(at: number): Promise<Result<Bookmarks>>
  setBack(to: string): Promise<Result<void>>
  comeBack(call: RestoreFinish): Promise<Result<TenantView | null>>
  edgeSnapshot(): Promise<Result<TenantSnapshot>>
}
