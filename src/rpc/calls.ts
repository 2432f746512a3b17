/** Arguments that the RPC calls into the objects share. */
import type { Caller, RequestRef } from '../auth/caller.ts'

/** `before`: the last sequence number of the previous page; `null`: first page. */
export interface Page {
  readonly before: number | null
  readonly limit: number
}

/** The caller, and the request for the audit trail. */
export interface Call extends RequestRef {
  readonly caller: Caller
}
