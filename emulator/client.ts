// Drives a running emulator from a test, in Node and in workerd alike: only `fetch`. One method per control route.

import type { Operation } from './api/operations.ts'
import type { FaultOrderInput } from './faults/faults.ts'
import type { Held } from './faults/holds.ts'
import type { Secrets, ShownKey, ShownState } from './http/control.ts'
import type { LogEntry } from './http/requestLog.ts'
import type { Settings, SettingsChange } from './world/settings.ts'

export type { Operation } from './api/operations.ts'
export type { FaultOrderInput } from './faults/faults.ts'
export type { Held } from './faults/holds.ts'
export type { Secrets, ShownKey, ShownState } from './http/control.ts'
export type { LogEntry } from './http/requestLog.ts'
export type { Settings, SettingsChange } from './world/settings.ts'

export interface HoldOptions {
  /** Held before (the default) or after the operation takes effect. */
  when?: 'before' | 'after'
  times?: number | 'always'
  uid?: string
}

export class EmulatorControl {
  readonly #base: string
  readonly #fetch: typeof fetch

  constructor(baseUrl: string, fetcher?: typeof fetch) {
    this.#base = `${baseUrl.replace(/\/$/, '')}/__emulator`
    this.#fetch = fetcher ?? ((input, init) => fetch(input, init))
  }

  async fault(order: FaultOrderInput): Promise<void> {
    await this.#ask('POST', '/faults', order)
  }

  async clearFaults(): Promise<void> {
    await this.#ask('DELETE', '/faults')
  }

  /** Every API request since the last reset or clearLog, of one operation if named. */
  async log(operation?: Operation | 'unknown'): Promise<LogEntry[]> {
    const entries = await this.#ask<LogEntry[]>('GET', '/log')
    return operation === undefined ? entries : entries.filter((entry) => entry.operation === operation)
  }

  async clearLog(): Promise<void> {
    await this.#ask('DELETE', '/log')
  }

  state(): Promise<ShownState> {
    return this.#ask('GET', '/state')
  }

  secrets(): Promise<Secrets> {
    return this.#ask('GET', '/secrets')
  }

  /** Empties state, log and faults, restores the settings and lets go of every hold, whose operations do not happen. */
  async reset(): Promise<void> {
    await this.#ask('POST', '/reset')
  }

  /** Changes the settings that are named, and answers all of them. */
  settings(change: SettingsChange = {}): Promise<Settings> {
    return this.#ask('PUT', '/settings', change)
  }

  /** Orders that the next such operation be held open under this id. */
  hold(operation: Operation | '*', id: string, { when = 'before', ...rest }: HoldOptions = {}): Promise<void> {
    return this.fault({ operation, fault: { kind: 'hold', id, when }, ...rest })
  }

  /** How many were held under this id and now go on. */
  async release(id: string): Promise<number> {
    return (await this.#ask<{ released: number }>('POST', '/release', { id })).released
  }

  waiting(): Promise<Held[]> {
    return this.#ask('GET', '/waiting')
  }

  /** Resolves once `count` operations are held under this id; throws when they are not in time. */
  async untilHeld(id: string, { count = 1, withinMs = 5_000 } = {}): Promise<void> {
    const query = new URLSearchParams({ id, count: String(count), withinMs: String(withinMs) })
    const held = await this.#ask<Held[]>('GET', `/waiting?${query}`)
    const reached = held.filter((each) => each.id === id).length
    if (reached < count) throw new Error(`${reached} of ${count} operations held as "${id}" after ${withinMs} ms`)
  }

  /** A key that the client under test did not make, with its secret. */
  plantKey(key: { account: string; name?: string }): Promise<ShownKey & { key: string }> {
    return this.#ask('POST', '/keys', key)
  }

  /** Deletes a key behind the client's back. */
  async removeKey(uid: string): Promise<void> {
    await this.#ask('DELETE', `/keys/${uid}`)
  }

  async #ask<Result>(method: string, path: string, body?: unknown): Promise<Result> {
    const call = this.#fetch
    const response = await call(`${this.#base}${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    if (!response.ok) throw new Error(`emulator ${method} ${path}: ${response.status} ${text}`)
    return (text === '' ? undefined : JSON.parse(text)) as Result // written by control.ts, whose types these are
  }
}
