/** A caller is answered within the deadline of the route, also by a broker whose objects have gone silent. */

import { afterEach, describe, expect, it, vi } from 'vitest'
import { ROUTES, type RouteName } from '../../src/contract/routes.ts'
import { newBroker } from '../support/broker/broker.ts'
import { furnish, pathOf } from '../support/contract/callers.ts'

afterEach(() => void vi.useRealTimers())

/** Objects that take every call and never answer one. */
function silentObjects() {
  const calls = { taken: 0 }
  const method = () => {
    calls.taken++
    return new Promise(() => undefined)
  }
  const object = new Proxy({}, { get: () => method })
  return { calls, TENANTS: { idFromName: (name: string) => name, get: () => object } }
}

const LATE: [RouteName, unknown, { status: number; code: number | string; mayRepeat: boolean }][] = [
  ['turnKeyList', undefined, { status: 504, code: 31027, mayRepeat: true }],
  ['turnKeyCreate', { name: 'late' }, { status: 504, code: 31028, mayRepeat: false }],
  ['credentialGenerate', { ttl: 60 }, { status: 504, code: 31027, mayRepeat: true }],
  ['turnRest', undefined, { status: 504, code: 'upstream_timeout', mayRepeat: true }],
  ['turnRestCreate', {}, { status: 504, code: 'upstream_timeout', mayRepeat: true }],
  ['clientTokenCreate', { subject: 'alice' }, { status: 504, code: 'outcome_unknown', mayRepeat: false }],
]

describe('a silent object', () => {
  it.each(LATE)('A silent object is reported at the deadline: %s', async (name, body, expected) => {
    const things = await furnish(newBroker(), 'acme')
    const { calls, TENANTS } = silentObjects()
    let isAnswered = false
    const broker = newBroker({ TENANTS }, () => {
      isAnswered = true
    })
    const route = ROUTES[name]
    const path = pathOf(route, things) + (name === 'turnRest' ? '?service=turn' : '')
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const asked = broker.call(route.method, path, things.token, body)
    while (calls.taken === 0) await scheduler.wait(1)
    await vi.advanceTimersByTimeAsync(route.deadlineMs - 1)
    expect(isAnswered).toBe(false)
    await vi.advanceTimersByTimeAsync(1)
    while (!isAnswered) await scheduler.wait(1)
    // The Worker holds on to a mint for ten seconds.
    await vi.advanceTimersByTimeAsync(10_000)
    const answer = await asked
    expect(answer.status, answer.text).toBe(expected.status)
    expect(answer.json.code ?? answer.json.errors[0].code).toBe(expected.code)
    expect(answer.headers.get('x-should-retry')).toBe(expected.mayRepeat ? null : 'false')
  })
})

it('A readiness probe that is answered leaves no timer behind', async () => {
  const broker = newBroker()
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  const answer = await broker.send('/readyz')
  expect(answer.status, answer.text).toBe(200)
  expect(vi.getTimerCount()).toBe(0)
})
