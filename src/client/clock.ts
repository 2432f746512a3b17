/** Time as the library counts it, and the one timer it has. Knows nothing of what is due. */

export const SECOND_MS = 1_000

/** Timers stand still while a machine sleeps, so none is set for longer, and what is due is read from the clock. */
const LONGEST_TIMER_MS = 30 * SECOND_MS

/** What a page hears when it may have slept. Both targets are absent in some places: workers, Node. */
const WAKING = ['visibilitychange', 'online', 'pageshow', 'focus']

export const between = (low: number, high: number): number => low + Math.random() * (high - low)

/** Two clocks that differ by more than rounding. */
const APART_MS = SECOND_MS

/**
 * Milliseconds that never go back and never stand still: a clock that is set back must not make a credential live longer.
 * Of the wall clock and the one that nobody can set, which may stand while a machine sleeps, the faster counts.
 */
export function newClock(): () => number {
  let last = 0
  let wallShift = 0
  let runShift = Date.now() - performance.now()
  return () => {
    const wall = Date.now() + wallShift
    const run = Math.floor(performance.now() + runShift)
    last = Math.max(last, wall, run)
    // The one that fell behind goes on from here.
    if (last - wall > APART_MS) wallShift += last - wall
    if (last - run > APART_MS) runShift += last - run
    return last
  }
}

interface Target {
  addEventListener?(type: string, listener: (event: { type: string }) => void): void
  removeEventListener?(type: string, listener: (event: { type: string }) => void): void
}

/** Calls `ring` at the time that was set, or earlier: whenever the machine may have slept. */
export function newAlarm(now: () => number, ring: (event?: { type: string }) => void) {
  let timer: unknown
  const onEvent = (event: { type: string }) => ring(event)
  // What there is differs from place to place.
  const global = globalThis as Target & { document?: Target; clearTimeout(timer: unknown): void }
  const targets = [global, global.document]
  for (const type of WAKING) for (const target of targets) target?.addEventListener?.(type, onEvent)

  return {
    /** `Infinity`: not at all. */
    set(time: number): void {
      global.clearTimeout(timer)
      if (time === Number.POSITIVE_INFINITY) return
      timer = setTimeout(() => ring(), Math.min(Math.max(Math.ceil(time - now()), 0), LONGEST_TIMER_MS))
      // In Node a timer would keep the process alive.
      ;(timer as { unref?(): void }).unref?.()
    },
    stop(): void {
      global.clearTimeout(timer)
      for (const type of WAKING) for (const target of targets) target?.removeEventListener?.(type, onEvent)
    },
  }
}

/**
 * Settles as `work` does, but no later than its deadline or the end of the library, whatever `work` does then: a `fetch`
 * or a `getToken` that never settles must not stand in the way of all that follow.
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
