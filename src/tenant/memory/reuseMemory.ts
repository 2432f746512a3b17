/** The repeats of the current minute: how often each credential was handed out again, and the audit row that will get the number. */
export class ReuseMemory {
  /** Minutes since 1970. */
  minute = 0
  /** By id of the credential. `seq`: the audit row; `written`: the count that it holds. */
  readonly rows = new Map<string, { readonly seq: number; count: number; written: number }>()
  /** Repeats that the usage of the day does not hold yet. */
  uncounted = 0
  /** A timer that writes the counts is running. */
  flushIsDue = false
}
