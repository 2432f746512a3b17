/** Log lines of the objects: JSON with an allow-list of fields. Must not log the message of an exception. */

interface Fields {
  readonly tenant?: string
  readonly job?: string
  readonly attempt?: number
  readonly operation?: string
  readonly reason?: string
  readonly status?: number
  readonly requestId?: string
}

/** Logs an error event for operators. Of an exception only the class is logged: its message may hold secrets. */
export function failure(event: string, fields: Fields, error?: unknown): void {
  const exception = error instanceof Error ? { exception: error.name } : {}
  console.error(JSON.stringify({ level: 'error', event, ...fields, ...exception }))
}
