/** RPC message: a Tenant asks the Account for one call of Cloudflare's API. */
export interface Spending {
  readonly tenant: string
  /** The tenant's share in calls per 5 minutes, from its policy. */
  readonly limit: number
  /** Whose part of the budget pays: what a tenant ordered, what an operator ordered, or settling what is in doubt. */
  readonly purpose: 'tenant' | 'operator' | 'recovery'
  /** The intent of the creation. The Account records it, so that the sweep finds the tenant of a marked key. */
  readonly intent?: string
}
