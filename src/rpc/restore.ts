/** Setting a tenant back in time, between Account and Tenant. */
import type { Call } from './calls.ts'

export interface Bookmarks {
  /** Where the storage stood at the wanted time. */
  readonly to: string
  /** Where it stands now: given to the operator, who may want to undo it. */
  readonly undo: string
}

export interface RestoreFinish {
  /** Absent: the broker itself, after a crash. */
  readonly by?: Call | undefined
  /** The last version that others have heard of. */
  readonly version: number
}
