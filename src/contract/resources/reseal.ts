/** Progress of a reseal (every secret moves to the current root key), and which root keys are needed. Ids only. */

export type RootKeyUse = {
  /** The id in `ROOT_KEYS`. */
  id: string
  /** The first of `ROOT_KEYS`: it seals and signs. */
  current: boolean
  configured: boolean
  /** Number of tenants with secrets that need this key. */
  tenants: number
  /** Whether a check key of API tokens needs this key. */
  tokenCheck: boolean
  /** Until when client tokens signed with this key may be valid; `null` if the key is current, or if none can be. */
  clientTokensUntil: string | null
}

export type ResealView = {
  /** `none`: no reseal was ever ordered. */
  state: 'none' | 'running' | 'done'
  /** Id of the root key that the secrets move to. */
  to: string | null
  orderedAt: string | null
  /** Number of tenants in the reseal, and of those that are done. */
  tenants: number
  done: number
  /** Number of secrets moved, and of secrets left unchanged because no configured root key opens them. */
  moved: number
  unreadable: number
  /** Upper bound of the rows left, of the tenants that have begun. */
  left: number
  rootKeys: RootKeyUse[]
}
