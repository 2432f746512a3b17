/** A mint under way. Memory only. */
/** A mint that has no row yet. Whoever takes back what it will become marks it here. */
export interface MintInFlight {
  readonly subject: string | null
  readonly subjectId: string | null
  readonly keyUid: string
  revoked: boolean
  /** Its key was replaced: what it becomes is taken back, and the successor asked in its place. */
  replaced: boolean
}
