/** The refusals of the current minute: how often each was met, and the audit row that will get the number. Writes nothing. */
export class RefusalMemory {
  /** Minutes since 1970. */
  minute = 0
  /** By asker, subject and code. `seq`: the audit row; `written`: the count that it holds. */
  readonly rows = new Map<string, { readonly seq: number; count: number; written: number }>()
  /** The job that writes the counts is stored. */
  flushIsDue = false
}
