/** The circuit breaker of the host that mints, and how a mint is asked again: by a seeded chance and a clock moved by hand. */

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Reply } from '../../src/cloudflare/reply.ts'
import { CircuitBreaker } from '../../src/concurrency/circuitBreaker.ts'
import { Semaphore } from '../../src/concurrency/semaphore.ts'
import { BrokerError } from '../../src/errors.ts'
import { MINT_DEADLINE_MS, mintUpstream } from '../../src/tenant/issuing/mint.ts'

/** The same chances for the same seed (mulberry32). */
function chances(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

describe('the breaker', () => {
  it.each([1, 2, 3, 4, 5])('The breaker never opens at 25 %% of failures: a million attempts of seed %i', (seed) => {
    const chance = chances(seed)
    const breaker = new CircuitBreaker()
    let refused = 0
    for (let attempt = 0; attempt < 1_000_000; attempt++) {
      if (breaker.refuses(attempt)) refused++
      else breaker.begin()({ failed: chance() < 0.25, at: attempt })
    }
    expect(refused).toBe(0)
  })

  it('The breaker opens when the host is gone, and lets one try after a second', () => {
    const breaker = new CircuitBreaker()
    let attempts = 0
    for (; !breaker.refuses(0); attempts++) breaker.begin()({ failed: true, at: 0 })
    expect(attempts).toBe(24)
    expect([breaker.refuses(999), breaker.refuses(1_000)]).toEqual([true, false])

    const trial = breaker.begin()
    expect(breaker.refuses(5_000), 'a second one beside the trial').toBe(true)
    trial({ failed: true, at: 2_800 })
    expect([breaker.refuses(3_799), breaker.refuses(3_800)]).toEqual([true, false])

    breaker.begin()({ failed: false, at: 3_900 })
    for (let failed = 0; failed < 23; failed++) breaker.begin()({ failed: true, at: 3_900 })
    expect(breaker.refuses(3_900), 'it has forgotten the failures before').toBe(false)
  })

  it('The breaker is not kept open by what was begun before it opened, and closed by its success', () => {
    const breaker = new CircuitBreaker()
    const [slow, late] = [breaker.begin(), breaker.begin()]
    for (let failed = 0; failed < 24; failed++) breaker.begin()({ failed: true, at: 0 })
    slow({ failed: true, at: 900 })
    expect(breaker.refuses(1_000)).toBe(false)
    late({ failed: false, at: 500 })
    expect(breaker.refuses(500)).toBe(false)
  })
})

const KEY = { uid: 'k'.repeat(32), secret: 's'.repeat(64) }
const MINTED = { username: 'u', credential: 'c'.repeat(16), urls: ['turn:turn.cloudflare.com:3478'] }
const DOWN: Reply<never> = { kind: 'doubtful', reason: 'server-error' }
const SILENT: Reply<never> = { kind: 'doubtful', reason: 'timeout' }

/** A Tenant's parts as far as a mint upstream needs them, with a host that answers as the test says. */
function minting(answer: (deadlineMs: number) => Promise<Reply<typeof MINTED>>) {
  const asked: number[] = []
  const parts = {
    now: () => Date.now(),
    mints: { semaphore: new Semaphore(4, 256), circuitBreaker: new CircuitBreaker() },
    credentials: {
      mint: (_key: unknown, _input: unknown, deadlineMs: number) => {
        asked.push(Date.now())
        return answer(deadlineMs)
      },
      revoke: () => Promise.reject(new Error('nothing is revoked here')),
    },
    revocationSemaphore: new Semaphore(1, 1),
    waitUntil: () => undefined,
  }
  const mint = () =>
    mintUpstream(parts, KEY, {
      ttlSeconds: 60,
      customIdentifier: undefined,
      until: Date.now() + MINT_DEADLINE_MS,
      flight: { replaced: false },
      lend: null,
    }).then(
      () => 'minted',
      (error: unknown) => (error instanceof BrokerError ? error.failure.code : String(error)),
    )
  return { asked, mint }
}

const later = (ms: number, reply: Reply<typeof MINTED>) =>
  new Promise<Reply<typeof MINTED>>((resolve) => setTimeout(() => resolve(reply), ms))
/** A host that does not answer. */
const silent = (deadlineMs: number) => later(deadlineMs, SILENT)

describe('a mint', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['Date', 'setTimeout', 'clearTimeout'], now: 0 })
  })
  afterEach(() => {
    vi.useRealTimers()
    vi.restoreAllMocks()
  })

  it.each([7, 8, 9])(
    'A mint is asked again at most three times within 5 s, after pauses of chance (seed %i)',
    async (seed) => {
      vi.spyOn(Math, 'random').mockImplementation(chances(seed))
      const pauses: number[][] = [[], [], []]
      for (let mints = 0; mints < 40; mints++) {
        const host = minting(() => later(10, DOWN))
        const begun = Date.now()
        const ended = host.mint()
        await vi.advanceTimersByTimeAsync(5_000)
        expect(await Promise.race([ended, 'nothing'])).toBe('upstream_failed')
        expect(host.asked).toHaveLength(4)
        for (const [at, times] of pauses.entries()) {
          times.push((host.asked[at + 1] ?? 0) - (host.asked[at] ?? 0) - 10)
        }
        expect((host.asked[3] ?? 0) - begun).toBeLessThan(1_000)
      }
      for (const [at, times] of pauses.entries()) {
        const mean = 80 * 2 ** at
        expect(Math.min(...times)).toBeGreaterThanOrEqual(mean * 0.5 - 1)
        expect(Math.max(...times)).toBeLessThanOrEqual(mean * 1.5 + 1)
        expect(Math.max(...times) - Math.min(...times), 'spread').toBeGreaterThan(mean * 0.7)
        expect(new Set(times).size, 'different pauses').toBeGreaterThan(15)
      }
    },
  )

  it('A mint gives each attempt a deadline of its own, and all of them 4.5 s', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(0)
    const deadlines: number[] = []
    const host = minting((deadlineMs) => {
      deadlines.push(deadlineMs)
      return silent(deadlineMs)
    })
    const ended = host.mint()
    await vi.advanceTimersByTimeAsync(4_500)
    expect(await Promise.race([ended, 'nothing'])).toBe('upstream_timeout')
    expect(deadlines).toEqual([1_800, 1_800, 780])
  })

  it.each([
    ['answers 500', () => later(20, DOWN)],
    ['is silent', silent],
  ] as const)(
    'A mint is refused at once while the host %s, and minted within 5 s of its return',
    async (_what, gone) => {
      const state = { up: false }
      const host = minting((deadlineMs) => (state.up ? later(50, { kind: 'ok', value: MINTED }) : gone(deadlineMs)))
      const ended: { begun: number; took: number; as: string }[] = []
      const demand = async (ms: number) => {
        for (let passed = 0; passed < ms; passed += 100) {
          const begun = Date.now()
          void host.mint().then((as) => ended.push({ begun, took: Date.now() - begun, as }))
          await vi.advanceTimersByTimeAsync(100)
        }
      }
      await demand(30_000)
      // Once it is open, only the calls that probe wait.
      const late = ended.filter(({ begun }) => begun > 25_000)
      const refused = late.filter(({ as, took }) => as === 'upstream_unavailable' && took === 0)
      expect(refused.length / late.length).toBeGreaterThan(0.85)
      const asked = host.asked.filter((at) => at > 25_000).length
      expect(asked, 'attempts in 5 s').toBeLessThanOrEqual(6)

      const back = Date.now()
      state.up = true
      await demand(10_000)
      await vi.advanceTimersByTimeAsync(5_000)
      const minted = ended.filter(({ as }) => as === 'minted')
      expect((minted[0]?.begun ?? Number.POSITIVE_INFINITY) - back).toBeLessThan(3_000)
      const afterwards = ended.filter(({ begun }) => begun >= back + 5_000)
      expect(afterwards).toHaveLength(50)
      expect(afterwards.filter(({ as }) => as !== 'minted')).toEqual([])
    },
  )

  it('A mint succeeds for 99 % at 25 % of failures, and the breaker stays out of it', async () => {
    const chance = chances(11)
    vi.spyOn(Math, 'random').mockImplementation(chances(12))
    const host = minting(() => later(20, chance() < 0.25 ? DOWN : { kind: 'ok', value: MINTED }))
    const all: Promise<string>[] = []
    for (let mints = 0; mints < 1_000; mints++) {
      all.push(host.mint())
      await vi.advanceTimersByTimeAsync(25)
    }
    await vi.advanceTimersByTimeAsync(5_000)
    const outcomes = await Promise.all(all)
    expect(outcomes.filter((it) => it === 'minted').length).toBeGreaterThan(990)
    expect(outcomes).not.toContain('upstream_unavailable')
  })
})
