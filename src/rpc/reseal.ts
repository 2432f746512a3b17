/** RPC messages of a reseal: one batch that the Account orders, and the Tenant's report. */
export interface ResealOrder {
  /** Increases with every order. A Tenant refuses an older order. */
  readonly number: number
  /** Id of the root key that the secrets move to. */
  readonly to: string
  /** Maximum number of rows in one call. */
  readonly limit: number
}

export interface ResealReport {
  readonly moved: number
  /** Number of secrets that no configured root key opens. They stay unchanged. */
  readonly unreadable: number
  /** Upper bound of the rows left. */
  readonly left: number
  readonly finished: boolean
  /** Ids of the root keys that this tenant needs, as far as it knows. */
  readonly rootKeys: readonly string[]
}
