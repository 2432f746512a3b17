/** A mint between its reservation and its commit. It has no row in the ledger yet, so only memory holds it. */
export interface MintInFlight {
  readonly subject: string | null
  readonly subjectId: string | null
  readonly keyUid: string
  /** Set by a revocation that meets this mint. The commit then stores its credential as `revoking`. */
  revoked: boolean
  /** Set when its key is replaced. What it minted is then revoked, and the successor mints in its place. */
  replaced: boolean
}
