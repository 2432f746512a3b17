// Every API request that arrived and what became of it. A bearer is kept as its SHA-256 only; the length is bounded, so
// that a load test does not fill the memory.

import type { Operation } from '../api/operations.ts'
import type { Fault } from '../faults/faults.ts'

const MAX_ENTRIES = 200_000

export interface LogEntry {
  /** `unknown`: no route of Cloudflare's; answered 404. */
  operation: Operation | 'unknown'
  method: string
  path: string
  bearerSha256: string | null
  /** Parsed JSON, the raw text when it is not JSON, null when empty or never read. */
  body: unknown
  atMs: number
  fault: Fault['kind'] | null
  /** The operation ran and succeeded, whatever the caller was answered. */
  effect: boolean
  /** null: no whole answer was sent, or not yet. */
  status: number | null
}

export class RequestLog {
  #entries: LogEntry[] = []

  open({ operation, method, path, atMs }: Pick<LogEntry, 'operation' | 'method' | 'path' | 'atMs'>): LogEntry {
    const nothingYet = { bearerSha256: null, body: null, fault: null, effect: false, status: null }
    const entry: LogEntry = { operation, method, path, atMs, ...nothingYet }
    if (this.#entries.length >= MAX_ENTRIES) this.#entries = this.#entries.slice(MAX_ENTRIES / 2)
    this.#entries.push(entry)
    return entry
  }

  entries(): readonly LogEntry[] {
    return this.#entries
  }

  clear(): void {
    this.#entries = []
  }
}
