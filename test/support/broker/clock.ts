/** The clock of the Worker and its objects, moved by hand. Timers run on: they are the runtime's own. */
import { onTestFinished, vi } from 'vitest'

export const SECOND_MS = 1_000
export const MINUTE_MS = 60_000
export const HOUR_MS = 3_600_000
export const DAY_MS = 86_400_000

/**
 * Sets the clock forward to a point in time; from then on it stands still until it is moved again. A minute at least
 * beyond the real time, or the objects' alarms would come by themselves and find nothing due.
 */
export function setClock(ms: number): void {
  if (!vi.isFakeTimers()) {
    vi.useFakeTimers({ toFake: ['Date'] })
    onTestFinished(() => {
      vi.useRealTimers()
    })
  }
  vi.setSystemTime(ms)
}

export const passTime = (ms: number): void => setClock(Date.now() + ms)

/**
 * What `work` ends with; throws when a timer of the same event loop ends first. On a slow machine both come late, so that
 * this judges the deadline and not the machine. `ms` is the promise with the margin for what surrounds it.
 */
export async function within<T>(ms: number, what: string, work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | null = null
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${ms} ms: ${what}`)), ms)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Waits for something that happens by itself and soon; says what, when it does not. */
export async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 5 * SECOND_MS
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`not within 5 s: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
