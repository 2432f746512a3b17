/** The semaphore: so many at once, so many waiting, for so long; first come, first served. */

import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { Semaphore } from '../../src/concurrency/semaphore.ts'
import { BrokerError } from '../../src/errors.ts'

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }))
afterEach(() => void vi.useRealTimers())

/** Operations that note when they begin, and end when the test says so. */
function operations(semaphore: Semaphore) {
  const begun: string[] = []
  const outcomes: Record<string, string> = {}
  const running = new Map<string, { end: () => void; fail: () => void }>()
  const enter = (name: string, waitMs = 1_000) => {
    const operation = () => {
      begun.push(name)
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      running.set(name, { end: resolve, fail: () => reject(new Error('broken')) })
      return promise
    }
    void semaphore.run(waitMs, operation).then(
      () => {
        outcomes[name] = 'done'
      },
      (error: unknown) => {
        outcomes[name] = error instanceof BrokerError ? error.failure.code : String(error)
      },
    )
  }
  const settle = () => vi.advanceTimersByTimeAsync(0)
  const end = (name: string) => {
    running.get(name)?.end()
    return settle()
  }
  const fail = (name: string) => {
    running.get(name)?.fail()
    return settle()
  }
  return { begun, outcomes, enter, end, fail, settle }
}

it('The semaphore lets as many through as it is wide, and the others in the order they came', async () => {
  const { begun, enter, end } = operations(new Semaphore(2, 10))
  for (const name of ['a', 'b', 'c', 'd']) enter(name)
  expect(begun).toEqual(['a', 'b'])
  await end('b')
  expect(begun).toEqual(['a', 'b', 'c'])
  await end('a')
  expect(begun).toEqual(['a', 'b', 'c', 'd'])
})

it('The semaphore refuses with broker_busy at once when the queue is full', async () => {
  const { begun, outcomes, enter, settle } = operations(new Semaphore(1, 2))
  for (const name of ['a', 'b', 'c', 'd']) enter(name)
  await settle()
  expect(outcomes).toEqual({ d: 'broker_busy' })
  expect(begun).toEqual(['a'])
})

it('The semaphore refuses with broker_busy an operation whose turn does not come in time, and gives its place in the queue away', async () => {
  const { begun, outcomes, enter, end } = operations(new Semaphore(1, 1))
  enter('a')
  enter('b', 100)
  await vi.advanceTimersByTimeAsync(99)
  expect(outcomes).toEqual({})
  await vi.advanceTimersByTimeAsync(1)
  expect(outcomes).toEqual({ b: 'broker_busy' })
  enter('c')
  await end('a')
  expect(begun, 'b never begins').toEqual(['a', 'c'])
})

it('The semaphore bounds the wait and not the operation: the timer is cleared when the turn comes', async () => {
  const { outcomes, enter, end } = operations(new Semaphore(1, 1))
  enter('a')
  enter('b', 100)
  await end('a')
  expect(vi.getTimerCount()).toBe(0)
  await vi.advanceTimersByTimeAsync(10_000)
  expect(outcomes).toEqual({ a: 'done' })
  await end('b')
  expect(outcomes).toEqual({ a: 'done', b: 'done' })
})

it('The semaphore hands the place over: a newcomer does not overtake an operation that waits, and none is let in beside it', async () => {
  const { begun, enter, end, settle } = operations(new Semaphore(1, 10))
  enter('a')
  enter('b')
  const ended = end('a')
  enter('newcomer')
  await ended
  expect(begun).toEqual(['a', 'b'])
  enter('another')
  await settle()
  expect(begun).toEqual(['a', 'b'])
})

it('The semaphore hands the place over after a failure too, and frees it when there is none to hand it to', async () => {
  const { begun, outcomes, enter, fail } = operations(new Semaphore(1, 10))
  enter('a')
  enter('b')
  await fail('a')
  await fail('b')
  enter('c')
  expect(begun).toEqual(['a', 'b', 'c'])
  expect(outcomes).toEqual({ a: 'Error: broken', b: 'Error: broken' })
})
