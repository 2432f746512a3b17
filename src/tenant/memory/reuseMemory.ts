/** The audit row of a repeat, and how many repeats it stands for. */
export interface CountedRow {
  readonly seq: number
  count: number
}

/** Repeats that are counted in memory: how often each credential was handed out again in the current minute. */
export class ReuseMemory {
  /** Minutes since 1970. */
  minute = 0
  /** The rows of that minute, by id of the credential. */
  readonly rows = new Map<string, CountedRow>()
  /** Rows of any minute whose count is not written yet. */
  readonly unwritten = new Set<CountedRow>()
  /** Repeats that the usage of the day does not hold yet. */
  uncounted = 0
  /** A timer that writes the counts is running. */
  flushIsDue = false
}
