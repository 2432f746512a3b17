/** One API call, as a Tenant asks the Account for it. */
export interface Spending {
  readonly tenant: string
  /** The tenant's own share, from its policy. */
  readonly limit: number
  /** `recovery` settles what was begun, and operators clean up: both may use the reserve. */
  readonly purpose: 'tenant' | 'operator' | 'recovery'
  /** The creation that the call is for: its marker leads the sweep back to the tenant. */
  readonly intent?: string
}
