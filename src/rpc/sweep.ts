/** RPC messages of a sweep: the listed keys that the Account sends, and the Tenant's findings. */

/** A key in upstream's list. */
export interface SweptKey {
  readonly uid: string
  /** The intent in its marker; `null`: no marker of this deployment. */
  readonly intent: string | null
}

export interface ReconcileOrder {
  readonly keys: readonly SweptKey[]
  /** When the list was requested, in milliseconds since 1970. */
  readonly listedAt: number
  /** How many unlisted keys the Tenant may check one by one. */
  readonly checks: number
}

export interface Reconciliation {
  /** `stranger`: the tenant has no row of the key. */
  readonly findings: readonly { readonly uid: string; readonly class: 'orphan' | 'missing' | 'stranger' }[]
  /** How many of the order's `checks` were made. */
  readonly checked: number
}
