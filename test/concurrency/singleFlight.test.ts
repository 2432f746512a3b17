/** Single flight: calls for one key share one run, for as long as its owner says. */

import { describe, expect, it } from 'vitest'
import { SingleFlight } from '../../src/concurrency/singleFlight.ts'

/** Runs that are counted, and end when the test says so. */
function runs() {
  const begun: PromiseWithResolvers<string>[] = []
  const run = () => {
    const mine = Promise.withResolvers<string>()
    begun.push(mine)
    return mine.promise
  }
  const end = (at: number, value: string) => begun[at]?.resolve(value)
  const fail = (at: number) => begun[at]?.reject(new Error('broken'))
  return { run, end, fail, count: () => begun.length }
}

describe('shared until the run settles', () => {
  it('Parallel calls for one key share one run, and calls for another key have their own', async () => {
    const flights = new SingleFlight<string>()
    const { run, end, count } = runs()
    const all = [flights.share('a', run), flights.share('a', run), flights.share('b', run)]
    expect(count()).toBe(2)
    end(0, 'of a')
    end(1, 'of b')
    expect(await Promise.all(all)).toEqual(['of a', 'of a', 'of b'])
  })

  it.each(['ended', 'failed'])(
    'A follower that continues after a run that %s no longer finds that run',
    async (how) => {
      const flights = new SingleFlight<string>()
      const { run, end, fail } = runs()
      const led = flights.lead('a', run)
      const looksAgain = () => flights.underWay('a')
      // The leader hears first, then the followers: to none of them the run is under way any more.
      const seen = [led, flights.underWay('a')].map((result) => result?.then(looksAgain, looksAgain))
      if (how === 'failed') fail(0)
      else end(0, 'value')
      expect(await Promise.all(seen)).toEqual([undefined, undefined])
    },
  )

  it('A failed run fails for the leader and the followers, and the next call begins a run', async () => {
    const flights = new SingleFlight<string>()
    const { run, fail, count } = runs()
    const refused = [flights.share('a', run), flights.share('a', run)].map((result) =>
      expect(result).rejects.toThrow('broken'),
    )
    fail(0)
    await Promise.all(refused)
    void flights.share('a', run)
    expect(count()).toBe(2)
  })

  it('A replaced run that settles does not end the sharing of the run that replaced it', async () => {
    const flights = new SingleFlight<string>()
    const { run, end } = runs()
    const first = flights.lead('a', run)
    const second = flights.lead('a', run)
    end(0, 'first')
    await first
    expect(flights.underWay('a')).toBe(second)
  })

  it('After forget() the next call begins a run, and the calls that wait keep theirs', async () => {
    const flights = new SingleFlight<string>()
    const { run, end, count } = runs()
    const waiting = flights.share('a', run)
    flights.forget('a')
    void flights.share('a', run)
    expect(count()).toBe(2)
    end(0, 'first')
    expect(await waiting).toBe('first')
  })
})

describe('shared for a minute after the run began', () => {
  function clocked() {
    const clock = { now: 5_000 }
    return { clock, flights: new SingleFlight<string>({ ms: 60_000, now: () => clock.now }) }
  }

  it('With sharing for a minute, a settled run is shared, a failure included, until it is forgotten or the minute is over', async () => {
    const { clock, flights } = clocked()
    const { run, fail, count } = runs()
    const led = flights.share('a', run)
    fail(0)
    await expect(led).rejects.toThrow('broken')
    clock.now += 59_999
    await expect(flights.share('a', run)).rejects.toThrow('broken')
    expect(count()).toBe(1)
    flights.forget('a')
    void flights.share('a', run)
    expect(count()).toBe(2)
  })

  it('With sharing for a minute, a run that has not settled in a minute is joined no more, and replaced', () => {
    const { clock, flights } = clocked()
    const { run, count } = runs()
    const hanging = flights.share('a', run)
    clock.now += 59_999
    expect(flights.underWay('a')).toBe(hanging)
    clock.now += 1
    expect(flights.underWay('a')).toBeUndefined()
    void flights.share('a', run)
    expect(count()).toBe(2)
  })
})
