/**
 * Every route with HEAD, OPTIONS and the methods it does not have, and with query parameters that it does not have or that are
 * repeated. TRACE cannot be sent from here: test/node/broker/traceMethod.test.ts.
 */
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import type { Route, RouteName } from '../../src/contract/routes.ts'
import { type Broker, newBroker } from '../support/broker/broker.ts'
import { outcomeOf, shown } from '../support/broker/contract.ts'
import { APP } from '../support/broker/doors.ts'
import { expectUnchanged, rowOf, stateOf } from '../support/contract/accessRows.ts'
import { furnishAll, pathOf, routes } from '../support/contract/callers.ts'

type Furnished = Awaited<ReturnType<typeof furnishAll>>

/** Routes whose query the broker does not own, or that a client extends with parameters of its own. */
const IGNORES_UNKNOWN = ['health', 'ready', 'iceServersPreflight', 'turnRestCreate', 'turnRest']

/** A request that the route would answer, with this query after its own. */
function requester(broker: Broker, acme: Furnished) {
  return async ([name, route]: [RouteName, Route], query: string, method: string = route.method) => {
    const { body, query: own = '', headers } = rowOf(name)
    const path = pathOf(route, acme) + (own === '' ? `?${query}` : `${own}&${query}`)
    const token = route.access === 'client-token' ? acme.clientToken : env.ADMIN_TOKEN
    const hasBody = method !== 'GET' && method !== 'HEAD'
    const sent = typeof body === 'function' ? await body() : body
    return broker.call(method, path, token, hasBody ? sent : undefined, headers)
  }
}

describe('HEAD and GET', () => {
  it('HEAD is answered as GET is, without a body, and neither changes anything; no HEAD issues a credential', async () => {
    const broker = newBroker()
    const acme = await furnishAll(broker, 'acme')
    const request = requester(broker, acme)
    const wrong: string[] = []
    for (const entry of routes.filter(([, { method }]) => method === 'GET')) {
      const [name] = entry
      const before = await stateOf(broker)
      const head = await request(entry, '', 'HEAD')
      if (name === 'turnRest') {
        const isRefused = head.status === 405 && head.text === '' && head.headers.get('allow') === 'POST, GET'
        if (!isRefused) wrong.push(`HEAD ${name}: ${shown(head)}`)
      } else {
        const get = await request(entry, '')
        if (head.status !== get.status || head.text !== '')
          wrong.push(`HEAD ${name}: ${shown(head)}, GET: ${shown(get)}`)
      }
      await expectUnchanged(broker, before)
    }
    expect(wrong).toEqual([])
  })
})

const isAt = (route: Route, path: string) => new RegExp(`^${route.path.replace(/:[a-z_]+/g, '[^/]+')}$`).test(path)
const METHODS = ['GET', 'OPTIONS', 'POST', 'PUT', 'PATCH', 'DELETE', 'PROPFIND'] as const

describe('a method that a path does not have', () => {
  it('OPTIONS and every other method that a path does not have is a 405 with the methods it has, and changes nothing', async () => {
    const broker = newBroker()
    const acme = await furnishAll(broker, 'acme')
    const before = await stateOf(broker)
    const wrong: string[] = []
    for (const path of new Set(routes.map(([, route]) => route.path))) {
      // `subjects/search` is also a `subjects/:subject_id`.
      const here = routes.filter(([, route]) => isAt(route, pathOf({ path }, acme)))
      const has = here.map(([, { method }]) => method)
      const token = here.some(([, { access }]) => access === 'client-token') ? acme.clientToken : env.ADMIN_TOKEN
      for (const method of METHODS.filter((each) => !(has as string[]).includes(each))) {
        const headers = method === 'GET' ? {} : { 'access-control-request-method': 'POST', origin: APP }
        const answer = await broker.call(method, pathOf({ path }, acme), token, undefined, headers)
        const allow = new Set(answer.headers.get('allow')?.split(', '))
        const isRefused = answer.status === 405 && allow.size === has.length && has.every((it) => allow.has(it))
        if (!isRefused || answer.headers.has('access-control-allow-origin')) {
          wrong.push(`${method} ${path}: ${shown(answer)} ${[...allow]}`)
        }
      }
    }
    expect(wrong).toEqual([])
    await expectUnchanged(broker, before)
  })
})

describe('query parameters', () => {
  it('Every native route refuses a query parameter that it does not have, names it, and changes nothing', async () => {
    const broker = newBroker()
    const acme = await furnishAll(broker, 'acme')
    const request = requester(broker, acme)
    const before = await stateOf(broker)
    const wrong: string[] = []
    const refusing = routes.filter(([name, { dialect }]) => dialect === 'native' && !IGNORES_UNKNOWN.includes(name))
    expect(refusing.length).toBeGreaterThan(20)
    for (const entry of refusing) {
      for (const name of ['Limit', 'casCade', '__proto__', '']) {
        const answer = await request(entry, `${name}=1`)
        const isNamed =
          outcomeOf(answer) === '400 invalid_request' && answer.json.detail.startsWith(`${name || '""'}: is not`)
        if (!isNamed) wrong.push(`${entry[0]} ${name}: ${shown(answer)}`)
      }
    }
    expect(wrong).toEqual([])
    await expectUnchanged(broker, before)
  })

  it('Every query parameter that a route has is refused when it is repeated, also in another spelling', async () => {
    const broker = newBroker()
    const acme = await furnishAll(broker, 'acme')
    const request = requester(broker, acme)
    const before = await stateOf(broker)
    const wrong: string[] = []
    for (const entry of routes) {
      for (const name of entry[1].query ?? []) {
        const spelled = `%${name.charCodeAt(0).toString(16)}${name.slice(1)}`
        const answer = await request(entry, `${name}=1&${spelled}=1`)
        const isNamed = outcomeOf(answer) === '400 invalid_request' && answer.json.detail.startsWith(`${name}: `)
        if (!isNamed) wrong.push(`${entry[0]} ${name}: ${shown(answer)}`)
      }
    }
    expect(wrong).toEqual([])
    await expectUnchanged(broker, before)
  })

  it.each([...IGNORES_UNKNOWN, 'turnKeyList', 'turnKeyGet', 'credentialGenerate'] as RouteName[])(
    'The route %s ignores query parameters that it does not have',
    async (name) => {
      const broker = newBroker()
      const request = requester(broker, await furnishAll(broker, 'acme'))
      const entry = routes.find(([other]) => other === name) as [RouteName, Route] // a name of the table
      const answer = await request(entry, 'api-version=1&x=1&x=2')
      expect(answer.status, shown(answer)).toBeLessThan(300)
    },
  )
})
