/** The Tenant's writes to KV: at most one put a second for a KV key, the newest value last, and none of what KV has already. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { CacheWriter } from '../../src/cache/writer.ts'
import { Semaphore } from '../../src/concurrency/semaphore.ts'

const KEY = 'tenant:acme'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date', 'setTimeout', 'clearTimeout'] })
})

afterEach(() => {
  vi.useRealTimers()
})

interface Put {
  readonly key: string
  readonly value: { n: number; confirmedAt: number }
  readonly at: number
}

/** A KV whose puts take `takesMs` each, and are answered by `answer`. */
function playedKv({ takesMs = 40, answer = () => undefined }: { takesMs?: number; answer?: () => void } = {}) {
  const puts: Put[] = []
  const failed: string[] = []
  const put = async (key: string, value: string) => {
    puts.push({ key, value: JSON.parse(value), at: Date.now() })
    await new Promise((resolve) => setTimeout(resolve, takesMs))
    answer()
  }
  const kv = { put } as unknown as KVNamespace // the writer only writes
  const connection = new Semaphore(1, 256)
  const writer = new CacheWriter(kv, { connection, now: () => Date.now(), failed: (key) => failed.push(key) })
  return { puts, failed, connection, write: (n: number, key = KEY) => writer.put(key, { n, confirmedAt: Date.now() }) }
}

const numbers = (puts: readonly Put[]) => puts.map(({ value }) => value.n)

describe('puts of one KV key', () => {
  it('At most one put of a KV key begins in a second, whatever the rate of changes, and the newest value is the last', async () => {
    const { puts, write } = playedKv()
    const results: Promise<boolean>[] = []
    for (let n = 1; n <= 600; n++) {
      results.push(write(n))
      await vi.advanceTimersByTimeAsync(5)
    }
    await vi.advanceTimersByTimeAsync(1_100)
    expect(await Promise.all(results)).toEqual(results.map(() => true))
    const gaps = puts.slice(1).map(({ at }, nth) => at - (puts[nth]?.at ?? 0))
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(1_000)
    expect(puts).toHaveLength(4)
    expect(numbers(puts).at(-1)).toBe(600)
  })

  it('A put resolves only when this value, or a newer one, is in KV', async () => {
    const { puts, write } = playedKv()
    await Promise.all([write(1), vi.advanceTimersByTimeAsync(40)])
    const seen: number[] = []
    void write(2).then(() => seen.push(numbers(puts).at(-1) ?? 0))
    await vi.advanceTimersByTimeAsync(959)
    expect(seen).toEqual([])
    void write(3).then(() => seen.push(numbers(puts).at(-1) ?? 0))
    await vi.advanceTimersByTimeAsync(41)
    expect(seen).toEqual([3, 3])
    expect(numbers(puts)).toEqual([1, 3])
  })

  it('A value for which the last put is more than a second ago is written at once', async () => {
    const { puts, write } = playedKv()
    await Promise.all([write(1), vi.advanceTimersByTimeAsync(1_000)])
    void write(2)
    expect(numbers(puts)).toEqual([1, 2])
    await vi.advanceTimersByTimeAsync(40)
  })

  it('A clock that is set back delays a put by a second at most', async () => {
    const { puts, write } = playedKv()
    await Promise.all([write(1), vi.advanceTimersByTimeAsync(40)])
    vi.setSystemTime(Date.now() - 3_600_000)
    void write(2)
    await vi.advanceTimersByTimeAsync(1_000)
    expect(numbers(puts)).toEqual([1, 2])
    await vi.advanceTimersByTimeAsync(40)
  })
})

describe('a value that KV has already', () => {
  it('A value that KV has already is confirmed again after 20 seconds, not earlier', async () => {
    const { puts, write } = playedKv()
    for (let second = 0; second < 41; second++) await Promise.all([write(1), vi.advanceTimersByTimeAsync(1_000)])
    expect(puts.map(({ at }) => at - (puts[0]?.at ?? 0))).toEqual([0, 20_000, 40_000])
  })

  it('A value that KV has already and that changed twice within a second is not written a second time', async () => {
    const { puts, write } = playedKv()
    await Promise.all([write(1), vi.advanceTimersByTimeAsync(40)])
    const both = Promise.all([write(2), write(1)])
    await vi.advanceTimersByTimeAsync(1_000)
    expect(await both).toEqual([true, true])
    expect(numbers(puts)).toEqual([1])
  })

  it('A value is not taken for written when its put was refused, nor when another was put since', async () => {
    const refusals = [() => undefined, refuse, () => undefined]
    const { puts, failed, write } = playedKv({ answer: () => refusals.shift()?.() })
    for (const n of [1, 2, 1]) await Promise.all([write(n), vi.advanceTimersByTimeAsync(1_000)])
    expect(numbers(puts)).toEqual([1, 2, 1])
    expect(failed).toEqual([KEY])
  })
})

describe('a put that fails', () => {
  it('A put that KV refuses is reported once, to everyone who waits', async () => {
    const { puts, failed, write } = playedKv({ answer: refuse })
    const waiting = [write(1), write(2), write(3)]
    await vi.advanceTimersByTimeAsync(2_000)
    expect(await Promise.all(waiting)).toEqual([false, false, false])
    expect(failed).toEqual([KEY])
    expect(puts).toHaveLength(1)
  })

  it('A put that KV does not answer is given up after 1.5 s, and keeps the only connection until KV has answered', async () => {
    const { puts, failed, connection, write } = playedKv({ takesMs: 10_000 })
    const waiting = [write(1), write(2, 'turn-key:acme:1')]
    await vi.advanceTimersByTimeAsync(1_500)
    expect(await Promise.all(waiting)).toEqual([false, false])
    expect(failed.sort()).toEqual([KEY, 'turn-key:acme:1'])
    expect(puts).toHaveLength(1)
    const turn = vi.fn(async () => undefined)
    const queued = connection.run(60_000, turn)
    await vi.advanceTimersByTimeAsync(8_400)
    expect(turn).not.toHaveBeenCalled()
    await vi.advanceTimersByTimeAsync(200)
    await queued
    expect(turn).toHaveBeenCalled()
  })

  it('A put that KV never answers gives its connection back after half a minute', async () => {
    const { puts, write } = playedKv({ takesMs: 10 ** 8 })
    void write(1)
    await vi.advanceTimersByTimeAsync(30_000)
    void write(2)
    expect(numbers(puts)).toEqual([1, 2])
    await vi.advanceTimersByTimeAsync(30_000)
  })
})

function refuse(): never {
  throw new Error('KV PUT failed: 429 Too Many Requests')
}
