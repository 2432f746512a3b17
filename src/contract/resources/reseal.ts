/** Moving every secret to the root key in front, and which root keys are needed. Ids of root keys only. */

export type RootKeyUse = {
  /** As in `ROOT_KEYS`. */
  id: string
  /** In front: it seals and signs. */
  current: boolean
  configured: boolean
  /** How many tenants have secrets that need it. */
  tenants: number
  /** Until when a client token signed with it may be valid; `null` while it is in front, or when none can be. */
  clientTokensUntil: string | null
}

export type ResealView = {
  /** `none`: nothing was ever ordered. */
  state: 'none' | 'running' | 'done'
  /** Id of the root key that everything is moved to. */
  to: string | null
  orderedAt: string | null
  /** Tenants whose secrets are looked at, and those that are through. */
  tenants: number
  done: number
  /** Secrets: moved, and left as they are because no configured root key opens them. */
  moved: number
  unreadable: number
  /** At most so many rows are still to be looked at, of the tenants that have begun. */
  left: number
  rootKeys: RootKeyUse[]
}
