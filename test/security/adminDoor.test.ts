/**
 * G13: the admin door opens to no caller without the admin token or an assertion of Cloudflare Access, on any path spelling;
 * unconfigured, it is closed. What is wrong with an assertion: test/cloudflareAccess.
 */
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { ROUTES } from '../../src/contract/routes.ts'
import { SCOPES } from '../../src/contract/scopes.ts'
import type { Answer } from '../support/broker/answer.ts'
import { type Broker, expectStatus, newBroker, newTenant, newToken, ORIGIN } from '../support/broker/broker.ts'
import { outcomeOf, shown } from '../support/broker/contract.ts'
import { emulator } from '../support/broker/upstream.ts'
import { pathOf, routes } from '../support/contract/callers.ts'
import { ACCESS, assertionOf, newTeam, personClaims } from '../support/secrets/access.ts'
import { tenantObjects } from '../support/storage/storage.ts'

const admins = routes.filter(([, { access }]) => access === 'admin')
const token = env.ADMIN_TOKEN

/** Words that only somebody inside can know. */
const HIDDEN = { id: 'hidden-tenant', name: 'Hidden name' }

const BODY = JSON.stringify({ id: 'intruder', name: 'Intruder', region: 'weur', scopes: ['tenant:read'] })

interface Identity {
  readonly headers?: Record<string, string>
  readonly query?: string
}

const bearer = (text: string): Identity => ({ headers: { authorization: `Bearer ${text}` } })

interface Assertions {
  readonly right: string
  readonly expired: string
}

const assertion = (text: string): Identity => ({ headers: { 'cf-access-jwt-assertion': text } })

const badIdentities = (apiToken: string, { right, expired }: Assertions): Record<string, Identity> => ({
  nobody: {},
  junk: bearer('junk'),
  'an API token with every scope': bearer(apiToken),
  "the account's token": bearer(env.CALLS_API_TOKEN),
  'another admin token': bearer('x'.repeat(token.length)),
  'the first half of it': bearer(token.slice(0, token.length / 2)),
  'all but the last character': bearer(token.slice(0, -1)),
  'all but the first character': bearer(token.slice(1)),
  'one character more': bearer(`${token}x`),
  'padding at its end': bearer(`${token}==`),
  'it in upper case': bearer(token.toUpperCase()),
  'it in lower case': bearer(token.toLowerCase()),
  'it twice': bearer(`${token},${token}`),
  'a space inside': bearer(`${token.slice(0, 9)} ${token.slice(9)}`),
  'a tab before it': bearer(`\t${token}`),
  'it a thousand times': bearer(token.repeat(1_000)),
  'it percent-encoded': bearer(`%${token.charCodeAt(0).toString(16)}${token.slice(1)}`),
  'it as Basic user': { headers: { authorization: `Basic ${btoa(`${token}:`)}` } },
  'it as Basic password': { headers: { authorization: `Basic ${btoa(`admin:${token}`)}` } },
  'it as Digest': { headers: { authorization: `Digest ${token}` } },
  'it without a scheme': { headers: { authorization: token } },
  'it as a cookie': { headers: { cookie: `token=${token}; authorization=Bearer ${token}; ADMIN_TOKEN=${token}` } },
  'it as a query parameter': { query: `access_token=${token}&token=${token}&authorization=Bearer%20${token}` },
  'it in headers of proxies': {
    headers: {
      'proxy-authorization': `Bearer ${token}`,
      'x-admin-token': token,
      'x-forwarded-authorization': `Bearer ${token}`,
      'cf-access-jwt-assertion': token,
      'cf-access-authenticated-user-email': 'admin@broker.test',
    },
  },
  'the expired assertion of an owner': assertion(expired),
  'the cookie of an owner at Cloudflare Access': { headers: { cookie: `CF_Authorization=${right}` } },
  'the assertion of an owner as a bearer': bearer(right),
  'a method override': { headers: { 'x-http-method-override': 'GET', 'x-original-url': '/healthz' } },
})

const hex = (text: string) => text.replace(/[a-z]/g, (letter) => `%${letter.charCodeAt(0).toString(16)}`)

/** Ways to write the same path, or nearly. */
const SPELLINGS: [string, (path: string) => string][] = [
  ['as it is', (path) => path],
  ['with a trailing slash', (path) => `${path}/`],
  ['with double slashes', (path) => path.replaceAll('/', '//')],
  ['with a double slash first', (path) => `/${path}`],
  ['with a dot segment', (path) => path.replace('/admin', '/./admin')],
  ['through a public route', (path) => `/healthz/..${path}`],
  ['through another door', (path) => path.replace('/v1', '/client/v4/../../v1')],
  ['through encoded dots', (path) => path.replace('/v1', '/v1/tenants/%2e%2e')],
  ['with encoded letters', (path) => path.replace('admin', hex)],
  ['with all letters encoded', (path) => hex(path)],
  ['with letters encoded twice', (path) => path.replace('admin', '%2561dmin')],
  ['with encoded slashes', (path) => path.replace('/admin/', '%2fadmin%2F')],
  ['in upper case', (path) => path.toUpperCase()],
  ['with backslashes', (path) => path.replaceAll('/', '\\')],
  ['with a semicolon', (path) => path.replace('/admin', '/admin;x=1')],
  ['with a null byte', (path) => `${path}%00`],
  ['with a suffix', (path) => `${path}.json`],
  ['with a line break', (path) => path.replace('/admin', '/ad\nmin')],
  ['with a full-width letter', (path) => path.replace('admin', 'ａdmin')],
  ['with a malformed escape', (path) => path.replace('/admin', '/%c0%afadmin%')],
]

async function setUp(overrides: object = {}) {
  const inside = newBroker()
  expectStatus(await inside.admin('POST', '/tenants', { ...HIDDEN, region: 'weur' }), 201)
  const { token: apiToken, tokenId } = await newToken(inside, HIDDEN.id, [...SCOPES])
  await emulator.clearLog()
  return { inside, broker: newBroker(overrides), apiToken, tokenId }
}

const stateOf = async (inside: Broker) => ({
  tenants: (await inside.admin('GET', '/tenants')).text,
  tenant: (await inside.admin('GET', `/tenants/${HIDDEN.id}`)).text,
  tokens: (await inside.admin('GET', `/tenants/${HIDDEN.id}/api-tokens`)).text,
  objects: await tenantObjects(),
  upstream: await emulator.log(),
})

/** Refused, and nothing in the answer that a stranger does not know already. */
function isClosed(answer: Answer): boolean {
  const said = answer.text + [...answer.headers].flat().join(' ')
  const tells = [HIDDEN.id, HIDDEN.name, '"items"', '"version"', 'No such'].some((word) => said.includes(word))
  return (
    /^(401 (invalid_token|10000)|40[45] [a-z0-9_]+)$/.test(outcomeOf(answer)) && !tells && !answer.headers.has('etag')
  )
}

/** Each identity on each spelling of each admin route; gives what was not closed. */
async function knock(broker: Broker, tokenId: string, identities: Record<string, Identity>, spellings = SPELLINGS) {
  const open: string[] = []
  for (const [name, route] of admins) {
    const path = pathOf(route, { tenant: HIDDEN.id, keyId: '', tokenId })
    const body = ['POST', 'PUT', 'PATCH'].includes(route.method) ? { body: BODY } : {}
    for (const [who, { headers = {}, query }] of Object.entries(identities)) {
      for (const [how, spell] of spellings) {
        const spelt = spell(path) + (query ? `?${query}` : '')
        const init = { method: route.method, headers: { 'content-type': 'application/json', ...headers }, ...body }
        const answer = await broker.send(ORIGIN + spelt, init)
        if (!isClosed(answer)) open.push(`${name} to ${who}, ${how}: ${shown(answer)}`)
      }
    }
  }
  return open
}

const asItIs = SPELLINGS.slice(0, 1)

/** Some seven thousand requests: more than a test may usually take on a busy machine. */
const A_TABLE_MS = 120_000

describe('G13: the admin door', () => {
  it(
    'G13: The admin door is closed to every bad identity, on every route and spelling of its path',
    async () => {
      const { inside, broker, apiToken, tokenId } = await setUp(ACCESS)
      const before = await stateOf(inside)
      await newTeam()
      const assertions = {
        right: await assertionOf(personClaims()),
        expired: await assertionOf(personClaims({ exp: 1 })),
      }
      expect(await knock(broker, tokenId, badIdentities(apiToken, assertions))).toEqual([])
      expect(await stateOf(inside)).toEqual(before)
    },
    A_TABLE_MS,
  )

  it('G13: The admin door opens to the admin token, so that the table above knocks on real doors', async () => {
    const { broker, tokenId } = await setUp()
    const get = (path: string) => broker.send(ORIGIN + path, { headers: { authorization: `Bearer ${token}` } })
    for (const how of ['as it is', 'with encoded letters', 'with backslashes', 'through a public route']) {
      const spell = SPELLINGS.find(([name]) => name === how)?.[1] ?? ((path) => path)
      const answer = await get(spell(`/v1/admin/tenants/${HIDDEN.id}`))
      expect(answer.status, `${how}: ${shown(answer)}`).toBe(200)
      expect(isClosed(answer)).toBe(false)
    }
    const tokens = await get(pathOf(ROUTES.apiTokenList, { tenant: HIDDEN.id, keyId: '', tokenId }))
    expect(tokens.json.items, shown(tokens)).toHaveLength(1)
  })

  it('G13: The admin door answers HEAD, OPTIONS and methods of no route without a hint', async () => {
    const { broker, tokenId } = await setUp()
    const open: string[] = []
    for (const [, route] of admins) {
      const path = pathOf(route, { tenant: HIDDEN.id, keyId: '', tokenId })
      for (const method of ['HEAD', 'OPTIONS', 'PUT', 'PROPFIND']) {
        const answer = await broker.send(path, { method })
        if (answer.status !== 401 && answer.status !== 405) open.push(`${method} ${path}: ${shown(answer)}`)
      }
    }
    expect(open).toEqual([])
  })

  it('G13: The admin door is closed on every host but ADMIN_HOST once that is set, to the admin token too', async () => {
    const { broker, tokenId, inside } = await setUp({ ADMIN_HOST: 'admin.broker.test' })
    const before = await stateOf(inside)
    const hosts = ['broker.test', 'admin.broker.test.evil.test', 'xadmin.broker.test', 'admin.broker.test.']
    for (const host of [...hosts, 'admin.broker.test:8443']) {
      const elsewhere = {
        ...broker,
        send: (url: string, init?: RequestInit) => broker.send(url.replace('broker.test', host), init),
      }
      const headers = { authorization: `Bearer ${token}`, 'x-forwarded-host': 'admin.broker.test' }
      expect(await knock(elsewhere, tokenId, { [`the right token on ${host}`]: { headers } }, asItIs)).toEqual([])
      // The operator's way into the server door is the same door.
      const keys = `https://${host}/client/v4/accounts/${HIDDEN.id}/calls/turn_keys`
      const answer = await broker.send(keys, { headers })
      expect(outcomeOf(answer), shown(answer)).toBe('401 10000')
    }
    expect(await stateOf(inside)).toEqual(before)
    const right = await broker.send('https://admin.broker.test/v1/admin/tenants', {
      headers: { authorization: `Bearer ${token}` },
    })
    expect(right.status, shown(right)).toBe(200)
  })

  it('G13: The admin door is closed when neither ADMIN_TOKEN nor Cloudflare Access is configured, to empty and guessed tokens too', async () => {
    const { broker, apiToken, tokenId, inside } = await setUp({ ADMIN_TOKEN: undefined })
    const before = await stateOf(inside)
    const guesses = {
      'the former token': token,
      undefined: 'undefined',
      null: 'null',
      empty: '',
      'an API token': apiToken,
    }
    const identities = Object.entries(guesses).map(([who, text]) => [who, bearer(text)] as const)
    const right = assertion(await assertionOf(personClaims()))
    expect(
      await knock(broker, tokenId, { nobody: {}, 'an owner': right, ...Object.fromEntries(identities) }, asItIs),
    ).toEqual([])
    expect(await stateOf(inside)).toEqual(before)
  })

  it("G13: The admin door is not opened by a tenant whose id or token looks like the door's", async () => {
    const inside = newBroker()
    const admin = await newTenant(inside, 'admin', { scopes: [...SCOPES] })
    const answer = await inside.call('GET', '/v1/admin/tenants', admin.token)
    expect(outcomeOf(answer), shown(answer)).toBe('401 invalid_token')
    const own = await inside.call('GET', '/v1/tenants/admin', admin.token)
    expect(own.json?.id, shown(own)).toBe('admin')
  })
})
