/** RPC messages of restoring a tenant to an earlier time (point-in-time recovery). */
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
