/** Log lines of the objects: one JSON object each, from an allow-list of fields. Never a message of an exception. */

interface Fields {
  readonly tenant?: string
  readonly job?: string
  readonly attempt?: number
  readonly operation?: string
  readonly reason?: string
  readonly status?: number
  readonly requestId?: string
}

/** Something an operator may want to look at. Of an exception only its class is told: its text could hold anything. */
export function failure(event: string, fields: Fields, error?: unknown): void {
  const exception = error instanceof Error ? { exception: error.name } : {}
  console.error(JSON.stringify({ level: 'error', event, ...fields, ...exception }))
}
