/** RPC messages of restoring a tenant to an earlier time (point-in-time recovery), and of the erasures that outlive it. */
import type { Call } from './calls.ts'

export interface Bookmarks {
  /** Bookmark of the requested time. */
  readonly to: string
  /** Bookmark of the current state, so that an operator can undo the restore. */
  readonly undo: string
}

export interface RestoreFinish {
  /** Absent: the job after a crash. */
  readonly by?: Call | undefined
  /** The last version that the Account knows. */
  readonly version: number
}

/** How many erasures one call carries at most, in either direction. */
export const ERASURES_A_CALL = 200

/** An erased subject: its id, never its name. */
export type Erasure = {
  readonly subjectId: string
  /** Milliseconds since 1970. */
  readonly at: number
}
