/** What the Account asks a Tenant in a sweep, and what it is told. */
/** A key of upstream's list. */
export interface SweptKey {
  readonly uid: string
  /** From its marker, if that is one of this deployment. */
  readonly intent: string | null
}

export interface ReconcileOrder {
  readonly keys: readonly SweptKey[]
  /** When the list was asked for. */
  readonly listedAt: number
  /** How many keys may be asked for one by one. */
  readonly checks: number
}

export interface Reconciliation {
  /** `stranger`: no row of this tenant speaks of it. */
  readonly findings: readonly { readonly uid: string; readonly class: 'orphan' | 'missing' | 'stranger' }[]
  readonly checked: number
}
