/** CORS on errors, with cold caches, after a change of the policy; and that no other route knows of it. */
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { snapshotKey } from '../../src/cache/entries.ts'
import { ROUTES, type Route } from '../../src/contract/routes.ts'
import type { Answer } from '../support/broker/answer.ts'
import { countedObjects, staleCache } from '../support/broker/bindings.ts'
import { expectStatus, newBroker } from '../support/broker/broker.ts'
import { MINUTE_MS, passTime, setClock } from '../support/broker/clock.ts'
import { outcomeOf } from '../support/broker/contract.ts'
import {
  APP,
  allowing,
  askIceServers,
  clientToken,
  corsHeaders,
  expectProblem,
  postForm,
  preflight,
  served,
} from '../support/broker/doors.ts'
import { countAsked } from '../support/broker/upstream.ts'

const allowedOrigin = ({ headers }: Answer) => headers.get('access-control-allow-origin')

async function acmeDoor(policy: object = {}) {
  const broker = newBroker()
  const acme = await served(broker, 'acme', { policy })
  return { broker, acme, token: await clientToken(broker, acme, { ttl: 3_600 }) }
}

describe('an error', () => {
  it('An error can be read by a page of an allowed origin, whatever it is', async () => {
    const { broker, acme, token } = await acmeDoor({
      maxLiveCredentialsPerSubject: 1,
      reuse: false,
      maxTtl: 600,
      defaultTtl: 600,
    })
    const ask = (init: object = {}, with_ = token) => askIceServers(broker, 'acme', with_, { origin: APP, ...init })
    const unserved = await clientToken(broker, acme, { subject: 'bob' })
    const atEnd = newBroker({ RATE_IP: allowing(2) })
    const subjectAtEnd = newBroker({ RATE_SUBJECT: allowing(0) })
    expectStatus(await ask(), 201)
    expectStatus(await preflight(atEnd, 'acme', APP), 204)
    expectProblem(await askIceServers(atEnd, 'acme', 'x', { origin: APP }), 'invalid_token')

    const answers: Record<string, Answer> = {
      '401 invalid_token': await ask({}, 'x'),
      '400 invalid_request': await ask({ body: { ttl: 0 } }),
      '400 ttl_too_long': await ask({ body: { ttl: 601 } }),
      '413 too_large': await ask({ body: ' '.repeat(40_000) }),
      '415 unsupported_media_type': await ask({ body: 'x', headers: { 'content-type': 'text/html' } }),
      '429 subject_limit': await ask(),
      '429 rate_limited': await askIceServers(subjectAtEnd, 'acme', token, { origin: APP }),
      ' 429 rate_limited': await askIceServers(atEnd, 'acme', 'x', { origin: APP }),
    }
    expectStatus(await broker.call('DELETE', `/client/v4/accounts/acme/calls/turn_keys/${acme.uid}`, acme.token), 200)
    answers['409 no_turn_key'] = await ask({}, unserved)
    expectStatus(await broker.admin('PATCH', '/tenants/acme', { status: 'suspended' }), 200)
    answers['403 tenant_suspended'] = await ask()

    for (const [expected, answer] of Object.entries(answers)) {
      expect(outcomeOf(answer), answer.text).toBe(expected.trim())
      expect(allowedOrigin(answer), expected).toBe(APP)
      expect(answer.headers.get('access-control-expose-headers'), expected).toContain('Retry-After')
      expect(answer.headers.get('vary'), expected).toBe('Origin')
    }
  })

  it('An error varies by origin also where no origin, no tenant or no time was left to look at', async () => {
    const { token } = await acmeDoor()
    const atEnd = newBroker({ RATE_IP: allowing(0) })
    for (const answer of [
      await askIceServers(newBroker(), 'acme', 'x'),
      await askIceServers(newBroker(), 'NO_TENANT', token, { origin: APP }),
      await preflight(newBroker(), 'NO_TENANT', APP),
      await askIceServers(atEnd, 'acme', 'x'),
      await preflight(atEnd, 'acme', APP),
    ]) {
      expect(answer.status).toBeGreaterThanOrEqual(400)
      expect(answer.headers.get('vary'), answer.text).toMatch(/^Origin(, Access-Control-Request-Headers)?$/)
      expect(allowedOrigin(answer)).toBeNull()
    }
  })
})

describe('the first request of an isolate', () => {
  const states: Record<string, () => Promise<unknown>> = {
    'with KV fresh': async () => undefined,
    'with KV stale': async () => passTime(2 * MINUTE_MS),
    'with nothing in KV': () => env.CACHE.delete(snapshotKey('acme')),
    "with another tenant's entry in KV": () =>
      env.CACHE.put(
        snapshotKey('acme'),
        JSON.stringify({ v: 1, tenant: 'globex', confirmedAt: Date.now(), allowedOrigins: ['https://evil.example'] }),
      ),
    'with junk in KV': () => env.CACHE.put(snapshotKey('acme'), '{'),
  }

  it('The first request of an isolate has the right headers, for allowed and refused origins, whatever KV holds', async () => {
    const { token } = await acmeDoor()
    for (const [state, bring] of Object.entries(states)) {
      const at = async (ask: (edge: ReturnType<typeof newBroker>) => Promise<Answer>) => {
        await bring()
        return ask(newBroker())
      }
      const welcome = [
        await at((edge) => preflight(edge, 'acme', APP)),
        await at((edge) => askIceServers(edge, 'acme', token, { origin: APP })),
        await at((edge) => postForm(edge, 'acme', { access_token: token }, { origin: APP })),
        await at((edge) => askIceServers(edge, 'acme', token, { origin: APP, body: { ttl: 100_000 } })),
      ]
      expect(welcome.map(outcomeOf), state).toEqual(['204', '201', '201', '400 ttl_too_long'])
      expect(welcome.map(allowedOrigin), state).toEqual([APP, APP, APP, APP])
      const origin = 'https://evil.example'
      const refused = [
        await at((edge) => preflight(edge, 'acme', origin)),
        await at((edge) => askIceServers(edge, 'acme', token, { origin })),
        await at((edge) => postForm(edge, 'acme', { access_token: token }, { origin })),
      ]
      for (const answer of refused) {
        expect(outcomeOf(answer), state).toBe('403 origin_not_allowed')
        expect(corsHeaders(answer), state).toEqual([])
      }
    }
  })

  it('The first request of an isolate with a bad token is a readable 401 also where KV is stale, and reaches for no object', async () => {
    await acmeDoor()
    passTime(30 * MINUTE_MS)
    const { reached, ...objects } = countedObjects()
    const page = await askIceServers(newBroker(objects), 'acme', 'x', { origin: APP })
    const stranger = await askIceServers(newBroker(objects), 'acme', 'x', { origin: 'https://evil.example' })
    for (const answer of [page, stranger]) expectProblem(answer, 'invalid_token')
    expect([page, stranger].map(allowedOrigin)).toEqual([APP, null])
    expect(reached.count).toBe(0)
  })
})

describe('an origin that is removed from the policy', () => {
  it('An origin that is removed from the policy gets nothing from that moment, and is not welcome at the edge after 60 s', async () => {
    const { broker, token } = await acmeDoor()
    const elsewhere = newBroker({ CACHE: await staleCache() })
    const { confirmedAt } = (await env.CACHE.get<{ confirmedAt: number }>(snapshotKey('acme'), 'json')) ?? {
      confirmedAt: 0,
    }
    expectStatus(await askIceServers(elsewhere, 'acme', token, { origin: APP }), 201)
    expectStatus(await broker.admin('PATCH', '/tenants/acme', { policy: { allowedOrigins: [] } }), 200)

    // The edge still believes its snapshot; the Tenant does not.
    expectStatus(await preflight(elsewhere, 'acme', APP), 204)
    expectProblem(await askIceServers(elsewhere, 'acme', token, { origin: APP }), 'origin_not_allowed')
    expectProblem(await preflight(newBroker(), 'acme', APP), 'origin_not_allowed')

    setClock(confirmedAt + MINUTE_MS + 1)
    for (const answer of [
      await preflight(elsewhere, 'acme', APP),
      await askIceServers(elsewhere, 'acme', token, { origin: APP }),
      await preflight(broker, 'acme', APP),
    ]) {
      expectProblem(answer, 'origin_not_allowed')
      expect(corsHeaders(answer)).toEqual([])
    }
    expect(await countAsked('generate-ice-servers')).toBe(1)
  })
})

describe('CORS', () => {
  it('CORS is of no other route that holds anything: none answers its headers, and none a preflight', async () => {
    const { broker, acme, token } = await acmeDoor()
    const others = Object.entries<Route>(ROUTES).filter(([name]) => !/^iceServers/.test(name))
    const found: string[] = []
    for (const [name, { method, path }] of others) {
      const at = path
        .replace(/:(tenant|account_id)/, 'acme')
        .replace(':key_id', acme.uid)
        .replace(/:[a-z_]+/, 'x')
      // Deletes must not spoil what comes after them.
      const tokens = method === 'DELETE' ? ['x', token] : ['x', token, acme.token, env.ADMIN_TOKEN]
      for (const bearer of tokens) {
        const answer = await broker.call(method, at, bearer, method === 'GET' ? undefined : {}, { origin: APP })
        if (corsHeaders(answer).length > 0) found.push(`${name}: ${corsHeaders(answer)}`)
      }
      const headers = { origin: APP, 'access-control-request-method': method }
      const asked = await broker.send(at, { method: 'OPTIONS', headers })
      if (asked.status < 400 || corsHeaders(asked).length > 0) found.push(`OPTIONS of ${name}: ${asked.status}`)
    }
    expect(found).toEqual([])
  })
})
