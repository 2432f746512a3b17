/** A deadline ends the waiting, leaves no timer behind, and is not troubled by what late work comes to. */

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { pause, within } from '../../src/concurrency/deadline.ts'

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }))
afterEach(() => {
  // In this order: a spy on a fake timer restores the fake.
  vi.restoreAllMocks()
  vi.useRealTimers()
})

const never = new Promise<never>(() => undefined)
const tooLate = () => 'too late'

/** Work that settles when the test says so. */
function work() {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  return { promise, resolve, reject }
}

describe('within()', () => {
  it('within() gives the value of work that is in time, clears the timer and does not call onLate', async () => {
    const onLate = vi.fn(tooLate)
    expect(await within(1_000, Promise.resolve('done'), onLate)).toBe('done')
    expect(vi.getTimerCount()).toBe(0)
    expect(onLate).not.toHaveBeenCalled()
  })

  it('within() rejects as work does that fails in time, and clears the timer', async () => {
    await expect(within(1_000, Promise.reject(new Error('broken')), tooLate)).rejects.toThrow('broken')
    expect(vi.getTimerCount()).toBe(0)
  })

  it('within() has cleared the timer when the caller goes on', async () => {
    const { promise, resolve } = work()
    const seen = within(1_000, promise, tooLate).then(() => vi.getTimerCount())
    expect(vi.getTimerCount()).toBe(1)
    resolve('done')
    expect(await seen).toBe(0)
  })

  it('within() gives what onLate returns, exactly when the time is over', async () => {
    let value: string | undefined
    void within(1_000, never, tooLate).then((it) => {
      value = it
    })
    await vi.advanceTimersByTimeAsync(999)
    expect(value).toBeUndefined()
    await vi.advanceTimersByTimeAsync(1)
    expect(value).toBe('too late')
  })

  it('within() waits for what onLate begins', async () => {
    const { promise, resolve } = work()
    const value = within(1_000, never, () => promise)
    await vi.advanceTimersByTimeAsync(5_000)
    resolve('the fallback')
    expect(await value).toBe('the fallback')
  })

  it('within() rejects with what onLate throws', async () => {
    const refused = expect(
      within(1_000, never, () => {
        throw new Error('late')
      }),
    ).rejects.toThrow('late')
    await vi.advanceTimersByTimeAsync(1_000)
    await refused
  })

  it('within() leaves no unhandled rejection behind when late work fails', async () => {
    const unhandled = vi.fn((event: Event) => event.preventDefault())
    addEventListener('unhandledrejection', unhandled)
    try {
      const { promise, reject } = work()
      const value = within(1_000, promise, tooLate)
      await vi.advanceTimersByTimeAsync(1_000)
      expect(await value).toBe('too late')
      reject(new Error('nobody waits for this'))
      await scheduler.wait(5)
      expect(unhandled).not.toHaveBeenCalled()
    } finally {
      removeEventListener('unhandledrejection', unhandled)
    }
  })

  it('within() and pause() use the setTimeout that is in place when they are called', async () => {
    const spy = vi.spyOn(globalThis, 'setTimeout')
    await within(1_000, Promise.resolve(), tooLate)
    void pause(50)
    expect(spy.mock.calls.map(([, ms]) => ms)).toEqual([1_000, 50])
  })
})

it('pause() resolves after its time', async () => {
  let over = false
  void pause(50).then(() => {
    over = true
  })
  await vi.advanceTimersByTimeAsync(49)
  expect(over).toBe(false)
  await vi.advanceTimersByTimeAsync(1)
  expect(over).toBe(true)
})
