/** `Authorization: Basic` with an API token as the password: at turn-rest, and nowhere else. */
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { basicPasswordOf } from '../../../src/auth/basic.ts'
import { expectStatus, newBroker, newToken } from '../../support/broker/broker.ts'
import { outcomeOf, shown } from '../../support/broker/contract.ts'
import { served, tenantPath } from '../../support/broker/doors.ts'
import { countAsked, emulator } from '../../support/broker/upstream.ts'
import { refusal, rowOf } from '../../support/contract/accessRows.ts'
import { basic, furnishAll, pathOf, routes } from '../../support/contract/callers.ts'

const PATH = tenantPath('acme', 'turn-rest')
const BOTH = 'Bearer, Basic realm="API token"'

const utf8 = (text: string) => new TextEncoder().encode(text).toBase64()

describe('Basic at turn-rest', () => {
  it('Basic opens turn-rest with any user name, by GET and by POST, and mints as a bearer does', async () => {
    const broker = newBroker()
    const acme = await served(broker)
    const authorizations = [
      ...['', 'janus', 'a b', 'üser', 'x'.repeat(500), acme.token].map(
        (user) => `Basic ${utf8(`${user}:${acme.token}`)}`,
      ),
      ...['basic', 'BASIC', 'Basic  '].map((scheme) => basic(acme.token).replace('Basic', scheme)),
      basic(acme.token).replace(/=+$/, ''),
    ]
    for (const authorization of authorizations) {
      for (const method of ['GET', 'POST']) {
        const answer = await broker.call(method, PATH, undefined, undefined, { authorization })
        expect(answer.status, `${authorization}: ${shown(answer)}`).toBe(200)
      }
    }
    expect(await countAsked('generate-ice-servers')).toBe(2 * authorizations.length)
  })

  it('Basic that is wrong is refused as a wrong bearer is, and both schemes are named', async () => {
    const broker = newBroker()
    const acme = await served(broker)
    const bearer = await broker.call('GET', PATH, 'junk')
    const wrong = ['Basic', 'Basic ', 'Basic =', 'Basic %', basic(''), basic('junk'), basic(`${acme.token}x`)]
    for (const authorization of [...wrong, basic(`x:${acme.token}`), `Basic ${utf8(`a:${acme.token}\u00e9`)}`]) {
      const answer = await broker.call('GET', PATH, undefined, undefined, { authorization })
      expect(outcomeOf(answer), authorization).toBe('401 invalid_token')
      expect(answer.headers.get('www-authenticate')).toBe(BOTH)
      expect({ ...answer.json, requestId: '' }).toEqual({ ...bearer.json, requestId: '' })
    }
    expect(bearer.headers.get('www-authenticate')).toBe(BOTH)
  })

  it('Basic with a token that lacks the scope, or of another tenant, is answered as that bearer is', async () => {
    const broker = newBroker()
    await served(broker)
    const other = await served(broker, 'other')
    const { token: weak } = await newToken(broker, 'acme', ['audit:read'])
    for (const token of [weak, other.token]) {
      const asBearer = await broker.call('GET', PATH, token)
      const asBasic = await broker.call('GET', PATH, undefined, undefined, { authorization: basic(token) })
      expect(outcomeOf(asBasic)).toBe(outcomeOf(asBearer))
      expect(asBasic.status).toBeGreaterThanOrEqual(403)
    }
  })

  it('Basic never carries the admin token: a browser keeps what it once sent', async () => {
    const broker = newBroker()
    await served(broker)
    const answer = await broker.call('GET', PATH, undefined, undefined, { authorization: basic(env.ADMIN_TOKEN) })
    expect(outcomeOf(answer)).toBe('401 invalid_token')
    expectStatus(await broker.call('GET', PATH, env.ADMIN_TOKEN), 200)
  })

  it('Basic is refused where a page of another site caused the request, and a bearer is not', async () => {
    const broker = newBroker()
    const acme = await served(broker)
    const ask = (authorization: string, site: string | undefined) =>
      broker.call('GET', PATH, undefined, undefined, {
        authorization,
        ...(site === undefined ? {} : { 'sec-fetch-site': site }),
      })
    for (const site of ['cross-site', 'same-site', 'junk', '']) {
      expect(outcomeOf(await ask(basic(acme.token), site)), site).toBe('403 origin_not_allowed')
      expect(outcomeOf(await ask(basic('junk'), site)), site).toBe('403 origin_not_allowed')
      expect(outcomeOf(await ask(`Bearer ${acme.token}`, site)), site).toBe('200')
    }
    for (const site of ['none', 'same-origin', undefined])
      expect(outcomeOf(await ask(basic(acme.token), site)), site).toBe('200')
    expect(await countAsked('generate-ice-servers')).toBe(4 + 3)
  })
})

describe('Basic at every other route', () => {
  it('Basic opens no route but turn-rest, also with a token that has every scope', async () => {
    const broker = newBroker()
    const acme = await furnishAll(broker, 'acme')
    await emulator.clearLog()
    const wrong: string[] = []
    for (const [name, route] of routes) {
      if (route.access === 'public' || route.basic) continue
      const { body, query = '', headers } = rowOf(name)
      const sent = typeof body === 'function' ? await body() : body
      const secret =
        route.access === 'admin' ? env.ADMIN_TOKEN : route.access === 'client-token' ? acme.clientToken : acme.token
      const answer = await broker.call(route.method, pathOf(route, acme) + query, undefined, sent, {
        ...headers,
        authorization: basic(secret),
      })
      const isRefused = outcomeOf(answer) === refusal(route) && answer.headers.get('www-authenticate') === 'Bearer'
      if (!isRefused) wrong.push(`${name}: ${shown(answer)}`)
    }
    expect(wrong).toEqual([])
    expect(routes.filter(([, { basic }]) => basic).map(([name]) => name)).toEqual(['turnRestCreate', 'turnRest'])
  })
})

describe('the header', () => {
  it.each([
    ['Basic YTpi', 'b'],
    ['basic YTpiOmM=', 'b:c'],
    ['Basic Og==', ''],
    ['Basic YTo=', ''],
    ['Basic Og', ''],
    ['Basic YWI=', undefined],
    ['Basic', undefined],
    ['Basic ', undefined],
    ['BasicYTpi', undefined],
    ['Basic YTpi, Basic YTpi', undefined],
    ['Basic YT pi', undefined],
    ['Basic YTp', ''],
    ['Basic YTpiY', undefined],
    ['Basic YTpi====', undefined],
    ['Basic -_-_', undefined],
    ['Bearer YTpi', undefined],
    [`Basic ${btoa(`a:${'b'.repeat(1_534)}`)}`, 'b'.repeat(1_534)],
    [`Basic ${btoa(`a:${'b'.repeat(2_000)}`)}`, undefined],
    [undefined, undefined],
  ])('Basic is parsed as RFC 7617 says: %s', (header, password) => {
    expect(basicPasswordOf(header)).toBe(password)
  })
})
