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
  // One promise and no `race`: every request passes here.
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => resolve(new Promise((settle) => settle(onLate()))), ms)
    work.then(
      (value) => {
        clearTimeout(timer)
        resolve(value)
      },
      (error) => {
        clearTimeout(timer)
        reject(error)
      },
    )
  })
}

/** Resolves after `ms` milliseconds. */
export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
