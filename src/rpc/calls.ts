/** What every call into an object carries. */
import type { Caller, RequestRef } from '../auth/caller.ts'

/** `before`: the last sequence number of the page before. */
export interface Page {
  readonly before: number | null
  readonly limit: number
}

/** Who asks, and for the audit trail which request it was. */
export interface Call extends RequestRef {
  readonly caller: Caller
}
