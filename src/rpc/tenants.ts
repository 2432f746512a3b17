/** Setting a tenant up and changing it. */

import type { IssuerPair } from '../contract/policy/issuers.ts'
import type { PolicyPatch } from '../contract/policy/policy.ts'
import type { Region, TenantPatch, TenantView } from '../contract/resources/tenants.ts'
import type { Call } from './calls.ts'

/** What a tenant's object reports of itself. */
export interface TenantReport {
  readonly id: string
  readonly name: string
  readonly status: TenantView['status']
  readonly version: number
  readonly issuers: readonly IssuerPair[]
  /** Absent: told by the release before. */
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
