/**
 * Deadlines and pauses. A deadline ends the waiting, never the work: to end the work as well, abort it (see
 * cloudflare/exchange.ts). The global `setTimeout` is looked up at each call, because tests replace it.
 */

/**
 * Settles as `work` does. If `work` has not settled within `ms` milliseconds, calls `onLate` and settles with the value
 * it returns or the error it throws. The timer is cleared as soon as either has settled. The result of late work is
 * ignored, a rejection included.
 */
export function within<T, L>(ms: number, work: Promise<T>, onLate: () => L | Promise<L>): Promise<T | L> {
  let timer: ReturnType<typeof setTimeout> | null = null
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms)
  }).then(onLate)
  return Promise.race([work, late]).finally(() => clearTimeout(timer))
}

/** Resolves after `ms` milliseconds. */
export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
