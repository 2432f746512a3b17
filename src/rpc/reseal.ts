/** What the Account orders of a Tenant to move its secrets, and what it is told. */
export interface ResealOrder {
  /** Grows with every order: an older one is not carried on. */
  readonly number: number
  /** Id of the root key that everything is moved to. */
  readonly to: string
  /** Rows to look at in one call. */
  readonly limit: number
}

export interface ResealReport {
  readonly moved: number
  /** Secrets that do not open, with whatever key; they were left as they are. */
  readonly unreadable: number
  /** At most so many rows are still to be looked at. */
  readonly left: number
  readonly finished: boolean
  /** Root keys that this tenant needs, as far as it knows. */
  readonly rootKeys: readonly string[]
}
