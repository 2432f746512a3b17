/**
 * Ends the objects at a chosen `await` of theirs, and tells which there are. The awaits are named by the plugin in
 * scripts/crash-points.ts. At the chosen one everything in the objects stands still; then the runtime ends them all.
 */

import { abortAllDurableObjects, runInDurableObject } from 'cloudflare:test'
import { AsyncLocalStorage } from 'node:async_hooks'
import { vi } from 'vitest'
import { passTime } from '../broker/clock.ts'
import { accountStub } from '../storage/tenantRows.ts'

declare global {
  /** Called by the code under test for each of its awaits. */
  var __crashPoint: ((place: string, make: () => unknown) => unknown) | undefined
}

/** Before the awaited thing begins, or when it is settled and its caller does not know yet. */
export interface Point {
  readonly place: string
  /** Which of its runs. */
  readonly nth: number
  readonly side: 'before' | 'after'
}

export interface Run<T> {
  readonly value: T | undefined
  readonly thrown: unknown
  /** Each await as it began and ended, and each write between them; in the order of the run. */
  readonly events: readonly string[]
  readonly crashed: boolean
  /** How many turns of the clock after its deadline the answer came: on a busy machine they take longer, as all does. */
  readonly lateTurns: number
}

/** Timers up to this are pauses, longer ones deadlines. Pauses are always cut short, deadlines where silence is played. */
const LONGEST_PAUSE_MS = 1_000
const PAUSES_FASTER = 50
const SILENCE_FASTER = 60
const DRAINED_AFTER_MS = 60
/** In events, of a loop that is distinguished from others. */
const LONGEST_LOOP = 40

export const nameOf = ({ place, nth, side }: Point): string => `${side} ${place}#${nth}`
const never = () => new Promise(() => undefined)

/** Where the test itself, and the Worker's edge in it, run through the same code: no crash point is there. */
const outside = new AsyncLocalStorage<true>()

interface Options {
  readonly point?: Point
  /** Upstream says nothing: deadlines come sooner, by the same factor for all. */
  readonly silence?: boolean
  /** Of the route that is called. */
  readonly deadlineMs?: number
}

export async function watched<T>(
  act: () => Promise<T>,
  { point, silence = false, deadlineMs = Number.POSITIVE_INFINITY }: Options = {},
): Promise<Run<T>> {
  const watch = new Watch(point && nameOf(point))
  const factor = silence ? SILENCE_FASTER : 1
  const restore = [hurryTimers(factor), await onWrites(() => watch.events.push('write'))]
  const begunAt = performance.now()
  const elapsed = () => (performance.now() - begunAt) * factor
  let ticked = 0
  const tick = async () => {
    await scheduler.wait(1)
    passTime(elapsed() - ticked)
    ticked = elapsed()
    if (ticked > deadlineMs && !end.ended) lateTurns++
  }
  globalThis.__crashPoint = (place, make) => (outside.getStore() ? make() : watch.step(place, make))
  const end: { value?: T; thrown?: unknown; ended?: true } = {}
  let lateTurns = 0
  const work = outside
    .run(true, act)
    .then(
      (value) => {
        end.value = value
      },
      (thrown) => {
        end.thrown = thrown
      },
    )
    .finally(() => {
      end.ended = true
    })
  try {
    while (!end.ended && !watch.frozen) await tick()
    const until = performance.now() + DRAINED_AFTER_MS
    while (watch.running > 0 && !watch.frozen && performance.now() < until) await tick()
    if (watch.frozen) await abortAllDurableObjects()
    while (!end.ended) await tick()
    await work
  } finally {
    globalThis.__crashPoint = undefined
    for (const each of restore) each()
  }
  return {
    value: end.value,
    thrown: end.thrown,
    events: watch.events,
    crashed: watch.frozen,
    lateTurns,
  }
}

class Watch {
  readonly events: string[] = []
  readonly #target: string | undefined
  readonly #counts = new Map<string, number>()
  frozen = false
  running = 0

  constructor(target: string | undefined) {
    this.#target = target
  }

  async step(place: string, make: () => unknown): Promise<unknown> {
    if (this.frozen) return never()
    const nth = (this.#counts.get(place) ?? 0) + 1
    this.#counts.set(place, nth)
    if (this.#reached(`before ${place}#${nth}`)) return never()
    this.running++
    try {
      const value = await make()
      if (this.frozen || this.#reached(`after ${place}#${nth}`)) return never()
      return value
    } catch (error) {
      if (this.frozen || this.#reached(`after ${place}#${nth}`)) return never()
      throw error
    } finally {
      this.running--
    }
  }

  #reached(name: string): boolean {
    this.events.push(name)
    this.frozen ||= name === this.#target
    return this.frozen
  }
}

/** Every point of a run; `distinct`: those between which something is written or asked, the others are alike. */
export function pointsOf(events: readonly string[], { distinct }: { distinct: boolean }): Point[] {
  return events.flatMap((event, i) => {
    const parts = /^(before|after) (.*)#(\d+)$/.exec(event)
    if (!parts) return []
    const [, side, place = '', nth] = parts
    const point: Point = { side: side === 'before' ? 'before' : 'after', place, nth: Number(nth) }
    const next = events[i + 1]
    const asks = side === 'before' && !isOuter(events, i)
    return !distinct || asks || next === undefined || next === 'write' ? [point] : []
  })
}

/**
 * The ways a run went, up to each of its events. What is done over and over is done once: an answer in many pieces, a
 * mint's retries.
 */
export function waysTo(events: readonly string[]): string[] {
  const way: string[] = []
  return events.map((event) => {
    way.push(event.replace(/#\d+$/, ''))
    for (let length = 2; length <= Math.min(LONGEST_LOOP, way.length / 2); length++) {
      if (isRepeated(way, length)) way.splice(-length)
    }
    return way.join()
  })
}

function isRepeated(way: readonly string[], length: number): boolean {
  for (let i = way.length - length; i < way.length; i++) if (way[i] !== way[i - length]) return false
  return true
}

/** Whether what is awaited here begins by awaiting something else. */
function isOuter(events: readonly string[], i: number): boolean {
  return events[i + 1]?.startsWith('before ') === true
}

function hurryTimers(factor: number): () => void {
  const real = globalThis.setTimeout
  const hurried = (run: (...args: unknown[]) => void, ms = 0, ...args: unknown[]) =>
    real(run, ms / (ms <= LONGEST_PAUSE_MS ? Math.max(factor, PAUSES_FASTER) : factor), ...args)
  globalThis.setTimeout = hurried as typeof setTimeout
  return () => {
    globalThis.setTimeout = real
  }
}

/** Tells of every statement that writes, in whichever object. */
async function onWrites(tell: () => void): Promise<() => void> {
  const prototype = await runInDurableObject(
    accountStub(),
    (_, { storage }) => Object.getPrototypeOf(storage.sql) as SqlStorage,
  )
  const { exec } = prototype
  prototype.exec = function reporting(this: SqlStorage, query: string, ...bindings: SqlStorageValue[]) {
    if (!/^\s*SELECT/i.test(query)) tell()
    return exec.call(this, query, ...bindings)
  } as SqlStorage['exec']
  return () => {
    prototype.exec = exec
  }
}

/** Refused connections, for everything but the test's own questions to the emulator. */
export function refuseConnections(): () => void {
  const real = globalThis.fetch
  const spy = vi.spyOn(globalThis, 'fetch').mockImplementation((input, init) => {
    if (String(input).includes('/__emulator/')) return real(input, init)
    return Promise.reject(new TypeError('connection refused'))
  })
  return () => spy.mockRestore()
}
