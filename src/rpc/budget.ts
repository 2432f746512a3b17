/** RPC message: a Tenant asks the Account for one call of Cloudflare's API. */
export interface Spending {
  readonly tenant: string
  /** The tenant's share in calls per 5 minutes, from its policy. */
  readonly limit: number
  /** `operator` and `recovery` (finishing begun work) may use the reserve. */
  readonly purpose: 'tenant' | 'operator' | 'recovery'
  /** The intent of the creation. The Account records it, so that the sweep finds the tenant of a marked key. */
  readonly intent?: string
}
