/** CORS at the browser door: a table of origins, preflight, and which headers each gets. */

import { describe, expect, it } from 'vitest'
import { expectStatus, newBroker } from '../support/broker/broker.ts'
import { outcomeOf, shown } from '../support/broker/contract.ts'
import {
  APP,
  askIceServers,
  clientToken,
  corsHeaders,
  expectProblem,
  postForm,
  preflight,
  served,
} from '../support/broker/doors.ts'
import { countAsked } from '../support/broker/upstream.ts'

const ALLOWED = [
  APP,
  'https://other.example',
  'https://app.example:8443',
  'https://xn--bcher-kva.example',
  'http://localhost:5173',
  'http://127.0.0.1:8080',
  'http://[::1]:3000',
  'capacitor://localhost',
  'ionic://localhost',
  'tauri://localhost',
  'http://tauri.localhost',
  'http://192.168.1.20:5173',
  'chrome-extension://caapplnpkaphcokmjfaboianmbigfdcf',
]

const REFUSED: [what: string, origin: string][] = [
  ['an unknown one', 'https://stranger.example'],
  ['another port', 'https://app.example:8444'],
  ['no port where one is allowed', 'http://localhost'],
  ['the default port, written out', 'https://app.example:443'],
  ['port 80 of https', 'https://app.example:80'],
  ['another port of loopback', 'http://127.0.0.1:8081'],
  ['another address of loopback', 'http://127.0.0.2:8080'],
  ['loopback by its other name', 'http://localhost:8080'],
  ['loopback over https', 'https://localhost:5173'],
  ['another scheme', 'http://app.example'],
  ['a scheme of nobody', 'app://app.example'],
  ['a web socket', 'wss://app.example'],
  ['the other app scheme', 'capacitor://app.example'],
  ['a file', 'file://'],
  ['another extension', 'chrome-extension://caapplnpkaphcokmjfaboianmbigfdcg'],
  ['an extension of Firefox', 'moz-extension://944cfddf-7a95-4c47-bd9a-663b3ce8d699'],
  ['another private address', 'http://192.168.1.21:5173'],
  ['another name under localhost', 'http://app.localhost'],
  ['a longer suffix', 'https://app.example.evil.com'],
  ['a longer suffix without a dot', 'https://app.exampleevil.com'],
  ['a longer prefix', 'https://evilapp.example'],
  ['a subdomain', 'https://www.app.example'],
  ['the parent', 'https://example'],
  ['loopback as a prefix', 'http://localhost:5173.evil.com'],
  ['an address as a prefix', 'http://127.0.0.1.evil.com:8080'],
  ['a final dot', 'https://app.example.'],
  ['upper case', 'https://APP.example'],
  ['a scheme in upper case', 'HTTPS://app.example'],
  ['an app scheme in upper case', 'Capacitor://localhost'],
  ['a trailing slash', 'https://app.example/'],
  ['a path', 'https://app.example/index.html'],
  ['a query', 'https://app.example?x'],
  ['a fragment', 'https://app.example#x'],
  ['userinfo', 'https://user@app.example'],
  ['userinfo that looks allowed', 'https://app.example@evil.com'],
  ['userinfo with a port', 'https://app.example:443@evil.com'],
  ['a backslash', 'https://app.example\\.evil.com'],
  ['white space inside', 'https://app.example https://evil.com'],
  ['a percent code', 'https://app%2eexample'],
  ['null', 'null'],
  ['nothing', ''],
  ['a star', '*'],
  ['a star for the subdomain', 'https://*.example'],
  ['only a host', 'app.example'],
  ['only a scheme', 'https://'],
  ['punycode of another name', 'https://xn--bcher-kvb.example'],
  ['punycode, upper case', 'https://XN--BCHER-KVA.example'],
  ['8,000 characters', `https://${'a.'.repeat(4_000)}example`],
  ['an app origin of 300 characters', `capacitor://${'a'.repeat(300)}`],
  ['two allowed ones', 'https://app.example, https://other.example'],
  ['two with a space', 'https://app.example https://other.example'],
]

/** Vary must name Origin whoever asks, or a shared cache would answer one page with another's headers. */
const varies = ({ headers }: { headers: Headers }) =>
  ['Origin', 'Origin, Access-Control-Request-Headers'].includes(headers.get('vary') ?? '')

async function acmeDoor(policy: object = {}) {
  const broker = newBroker()
  const acme = await served(broker, 'acme', { policy: { allowedOrigins: ALLOWED, ...policy } })
  return { broker, acme, token: await clientToken(broker, acme) }
}

describe('an origin', () => {
  it('An origin of the policy may preflight and ask, and is echoed by its own name', async () => {
    const { broker, token } = await acmeDoor()
    for (const origin of ALLOWED) {
      const asked = await preflight(broker, 'acme', origin)
      expect(shown(asked)).toMatch(/^204 /)
      expect(asked.text).toBe('')
      expect(asked.headers.get('access-control-allow-origin')).toBe(origin)
      expect(asked.headers.get('access-control-allow-methods')).toBe('POST')
      expect(asked.headers.get('access-control-allow-headers')).toBe('Authorization, Content-Type')
      expect(asked.headers.get('access-control-max-age')).toBe('7200')
      expect(varies(asked)).toBe(true)

      const byHeader = await askIceServers(broker, 'acme', token, { origin })
      const byForm = await postForm(broker, 'acme', { access_token: token }, { origin })
      for (const answer of [byHeader, byForm]) {
        expectStatus(answer, 201)
        expect(answer.headers.get('access-control-allow-origin')).toBe(origin)
        expect(answer.headers.get('access-control-expose-headers')).toBe('Retry-After, X-Request-Id, Server-Timing')
        expect(corsHeaders(answer)).toHaveLength(2)
        expect(varies(answer)).toBe(true)
      }
    }
  })

  it.each([['of the table of tricks', REFUSED]])(
    'An origin %s is a 403 without CORS headers, and nothing is minted',
    async (_, rows) => {
      const { broker, token } = await acmeDoor()
      const wrong: string[] = []
      for (const [what, origin] of rows) {
        for (const answer of [
          await preflight(broker, 'acme', origin),
          await askIceServers(broker, 'acme', token, { origin }),
          await postForm(broker, 'acme', { access_token: token }, { origin }),
        ]) {
          const refused = outcomeOf(answer) === '403 origin_not_allowed' && corsHeaders(answer).length === 0
          if (!refused || !varies(answer)) wrong.push(`${what}: ${shown(answer)}`)
        }
      }
      expect(wrong).toEqual([])
      expect(await countAsked('generate-ice-servers')).toBe(0)
    },
  )

  it('An origin sent twice is none', async () => {
    const { broker, token } = await acmeDoor()
    const headers = new Headers({ authorization: `Bearer ${token}` })
    headers.append('origin', APP)
    headers.append('origin', APP)
    const answer = await broker.send('/v1/tenants/acme/ice-servers', { method: 'POST', headers })
    expectProblem(answer, 'origin_not_allowed')
    expect(corsHeaders(answer)).toEqual([])
  })

  it('An origin cannot preflight where there is none, for no tenant, or for one that never was', async () => {
    const { broker } = await acmeDoor()
    for (const answer of [
      await preflight(broker, 'acme', undefined),
      await preflight(broker, 'never-was', APP),
      await preflight(newBroker(), 'never-was', APP),
    ]) {
      expectProblem(answer, 'origin_not_allowed')
      expect(corsHeaders(answer)).toEqual([])
      expect(varies(answer)).toBe(true)
    }
  })
})

describe('a request without an origin', () => {
  it('A request without an origin is a native app’s, and gets no CORS headers', async () => {
    const { broker, token } = await acmeDoor()
    const answer = await askIceServers(broker, 'acme', token)
    expectStatus(answer, 201)
    expect(corsHeaders(answer)).toEqual([])
    expect(varies(answer)).toBe(true)
  })

  it('A request without an origin is refused when the policy requires one, or the token is bound to one', async () => {
    const { broker, acme, token } = await acmeDoor()
    const bound = await clientToken(broker, acme, { origin: APP })
    expectProblem(await askIceServers(broker, 'acme', bound), 'origin_not_allowed')
    expectStatus(await askIceServers(broker, 'acme', bound, { origin: APP }), 201)
    expectStatus(await broker.admin('PATCH', '/tenants/acme', { policy: { requireOrigin: true } }), 200)
    expectProblem(await askIceServers(broker, 'acme', token), 'origin_not_allowed')
    expectStatus(await askIceServers(broker, 'acme', token, { origin: APP }), 201)
  })
})

describe('a token bound to an origin', () => {
  it('A token bound to an origin is refused from another origin of the policy, which may read why', async () => {
    const { broker, acme } = await acmeDoor()
    const bound = await clientToken(broker, acme, { origin: APP })
    for (const origin of ALLOWED.slice(1)) {
      const answer = await askIceServers(broker, 'acme', bound, { origin })
      expectProblem(answer, 'origin_not_allowed')
      expect(answer.headers.get('access-control-allow-origin')).toBe(origin)
    }
    expect(await countAsked('generate-ice-servers')).toBe(0)
  })
})
