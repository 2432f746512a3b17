/** RPC messages of setting a tenant up, changing it and reporting it. */

import type { IssuerShare } from '../contract/policy/issuers.ts'
import type { PolicyPatch } from '../contract/policy/policy.ts'
import type { Region, TenantPatch, TenantView } from '../contract/resources/tenants.ts'
import type { Call } from './calls.ts'

/** A Tenant object's report to the Account. */
export interface TenantReport {
  readonly id: string
  readonly name: string
  readonly status: TenantView['status']
  readonly version: number
  readonly issuers: readonly IssuerShare[]
  /** Absent in reports of the previous release. */
  readonly rootKeys?: readonly string[]
}

export interface TenantSetUp {
  readonly id: string
  readonly name: string
  readonly region: Region
  readonly policy: PolicyPatch
  readonly createdAt: number
}

export interface TenantPatchCall extends Call {
  readonly patch: TenantPatch
  readonly ifMatch: number | undefined
}
