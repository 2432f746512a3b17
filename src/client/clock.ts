/** The library's monotonic clock, its only timer, and its deadlines. Does not know what is due. */

export const SECOND_MS = 1_000

/** Timers stop while a machine sleeps. So no timer is longer, and the clock decides what is due. */
const LONGEST_TIMER_MS = 30 * SECOND_MS

/** Events of a page that may have slept. `document` is absent in workers, event targets are absent in Node. */
const WAKING = ['visibilitychange', 'online', 'pageshow', 'focus']

export const between = (low: number, high: number): number => low + Math.random() * (high - low)

/** The two clocks count as apart above this difference, which is more than rounding. */
const APART_MS = SECOND_MS

/**
 * Milliseconds that never go back: setting the wall clock back must not make a credential live longer. The wall clock
 * can be set; `performance.now()` may stop while the machine sleeps. The faster of the two counts.
 */
export function newClock(): () => number {
  let last = 0
  let wallShift = 0
  let runShift = Date.now() - performance.now()
  return () => {
    const wall = Date.now() + wallShift
    const run = Math.floor(performance.now() + runShift)
    last = Math.max(last, wall, run)
    // A clock that fell behind continues from here.
    if (last - wall > APART_MS) wallShift += last - wall
    if (last - run > APART_MS) runShift += last - run
    return last
  }
}

interface Target {
  addEventListener?(type: string, listener: (event: { type: string }) => void): void
  removeEventListener?(type: string, listener: (event: { type: string }) => void): void
}

/** Calls `ring` at the set time, or earlier when the machine may have slept. */
export function newAlarm(now: () => number, ring: (event?: { type: string }) => void) {
  let timer: unknown
  const onEvent = (event: { type: string }) => ring(event)
  // Not every platform has these members.
  const global = globalThis as Target & { document?: Target; clearTimeout(timer: unknown): void }
  const targets = [global, global.document]
  for (const type of WAKING) for (const target of targets) target?.addEventListener?.(type, onEvent)

  return {
    /** `Infinity` sets no timer. */
    set(time: number): void {
      global.clearTimeout(timer)
      if (time === Number.POSITIVE_INFINITY) return
      timer = setTimeout(() => ring(), Math.min(Math.max(Math.ceil(time - now()), 0), LONGEST_TIMER_MS))
      // In Node, a timer would keep the process alive.
      ;(timer as { unref?(): void }).unref?.()
    },
    stop(): void {
      global.clearTimeout(timer)
      for (const type of WAKING) for (const target of targets) target?.removeEventListener?.(type, onEvent)
    },
  }
}

/**
 * Settles as `work` does. Rejects at the deadline or when the library stops, even if `work` never settles: a `fetch` or
 * `getToken` that hangs must not block later attempts.
 */
export function within<T>(
  { deadlineMs, stopped }: { deadlineMs: number; stopped: AbortSignal },
  work: (signal: AbortSignal) => T | Promise<T>,
): Promise<T> {
  const controller = new AbortController()
  if (stopped.aborted) return Promise.reject(new Error('stopped'))
  return new Promise<T>((resolve, reject) => {
    const leave = () => {
      clearTimeout(timer)
      stopped.removeEventListener('abort', giveUp)
    }
    const giveUp = () => {
      leave()
      controller.abort()
      reject(new Error('timeout'))
    }
    const timer = setTimeout(giveUp, deadlineMs)
    stopped.addEventListener('abort', giveUp)
    new Promise<T>((settle) => settle(work(controller.signal))).then(resolve, reject).finally(leave)
  })
}
