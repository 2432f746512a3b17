/** G17: a request that proves nothing costs nothing behind the door, whatever tenant it names; counted on every door. */
import { describe, expect, it } from 'vitest'
import { newApiTokenId } from '../../src/auth/apiTokens.ts'
import type { Answer } from '../support/broker/answer.ts'
import { expectStatus, keysPath, newBroker } from '../support/broker/broker.ts'
import { MINUTE_MS, passTime, SECOND_MS } from '../support/broker/clock.ts'
import { outcomeOf } from '../support/broker/contract.ts'
import { APP, allowing, askIceServers, iceServersPath, postForm, preflight, served } from '../support/broker/doors.ts'
import { emulator } from '../support/broker/upstream.ts'
import { basic, furnishAll, furnishDeleted, NOBODYS, pathOf, routes } from '../support/contract/callers.ts'
import { forgedToken } from '../support/secrets/apiTokens.ts'
import { encode } from '../support/secrets/forger.ts'
import { issuerAt, jwtOf, newKey, playedProvider, rightClaims } from '../support/secrets/idp.ts'
import { countingBindings, newIssuer } from '../support/tenants/issuing.ts'

const NOTHING = { rpc: 0, kv: 0, upstream: 0 }

/** An edge that counts, with other bindings if asked; `cost` says what a piece of work asked of the objects, KV and upstream. */
function countedEdge(overrides: object = {}) {
  const { counts, bindings } = countingBindings()
  const edge = newBroker({ ...bindings, ...overrides })
  const cost = async (work: () => Promise<unknown>) => {
    await emulator.clearLog()
    Object.assign(counts, { rpc: 0, kv: 0 })
    await work()
    return { ...counts, upstream: (await emulator.log()).length }
  }
  return { edge, cost }
}

const many = <T>(count: number, each: (n: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: count }, (_, n) => each(n)))

/** A tenant that is there, one that was deleted and one that never was. Moves the clock. */
async function threeTenants() {
  const setUp = newBroker()
  const exists = await furnishAll(setUp, 'acme')
  const deleted = await furnishDeleted(setUp, 'gone')
  return { exists, deleted, 'never was': { ...NOBODYS, clientToken: exists.clientToken } }
}

describe('G17: a forged API token', () => {
  const guarded = routes.filter(([, { access }]) => typeof access === 'object' || access === 'admin')

  it('G17: A forged API token, as bearer or in Basic, costs no KV read, no call of an object and none upstream on any route, for any tenant', async () => {
    const tenants = await threeTenants()
    const { edge, cost } = countedEdge()
    await edge.call('GET', keysPath('acme'), await forgedToken('acme'))
    const wrong: string[] = []
    for (const [what, tenant] of Object.entries(tenants)) {
      const forged = { 'a known id': tenant.tokenId, 'an unknown id': newApiTokenId() }
      for (const [kind, id] of Object.entries(forged)) {
        const token = await forgedToken(tenant.tenant, id)
        for (const [name, route] of guarded) {
          for (const authorization of [`Bearer ${token}`, basic(token)]) {
            const answers: Answer[] = []
            const spent = await cost(async () => {
              const headers = { authorization }
              answers.push(await edge.call(route.method, pathOf(route, tenant), undefined, undefined, headers))
            })
            const got = `${answers.map(outcomeOf)} ${JSON.stringify(spent)}`
            const expected = `401 ${route.dialect === 'native' ? 'invalid_token' : '10000'} ${JSON.stringify(NOTHING)}`
            const [scheme] = authorization.split(' ')
            if (got !== expected) wrong.push(`${name}, ${scheme}, a token of ${kind}, tenant ${what}: ${got}`)
          }
        }
      }
    }
    expect(wrong).toEqual([])
    expect(guarded.length).toBeGreaterThan(35)
  })

  it('G17: A forged API token costs nothing where the isolate has proven the good one of the same id', async () => {
    const acme = await newIssuer()
    const { edge, cost } = countedEdge()
    for (let n = 0; n < 2; n++) expectStatus(await edge.call('GET', keysPath('acme'), acme.token), 200)
    await edge.call('GET', keysPath('acme'), await forgedToken('acme', acme.tokenId))
    const changed = (at: number) =>
      acme.token.slice(0, at) + (acme.token[at] === 'A' ? 'B' : 'A') + acme.token.slice(at + 1)
    const forged = {
      'another secret': changed(acme.token.length - 20),
      'another check': changed(acme.token.length - 1),
    }
    for (const [what, token] of Object.entries(forged)) {
      const answers: Answer[] = []
      const spent = await cost(async () => {
        answers.push(await edge.call('GET', keysPath('acme'), token))
      })
      expect(spent, what).toEqual(NOTHING)
      expect(answers.map(outcomeOf), what).toEqual(['401 10000'])
    }
    expectStatus(await edge.call('GET', keysPath('acme'), acme.token), 200)
  })

  it('G17: Forged API tokens that meet an isolate without check keys cause one look-up of them', async () => {
    const acme = await newIssuer()
    await newBroker().call('GET', keysPath('acme'), acme.token)
    const { edge, cost } = countedEdge()
    const tokens = await many(50, () => forgedToken('acme'))
    const flood = () => many(50, (n) => edge.call('GET', keysPath('acme'), tokens[n]))
    // KV has a copy, but only the Account's word is good for a refusal.
    expect(await cost(flood)).toEqual({ rpc: 1, kv: 1, upstream: 0 })
    expect(await cost(flood)).toEqual(NOTHING)
  })

  it('G17: Forged API tokens cause one question of the Account in a minute, however many come', async () => {
    const acme = await newIssuer()
    const { edge, cost } = countedEdge()
    await edge.call('GET', keysPath('acme'), acme.token)
    passTime(2 * MINUTE_MS)
    const flood = () => many(30, async () => edge.call('GET', keysPath('acme'), await forgedToken('acme')))
    expect(await cost(flood)).toEqual({ rpc: 1, kv: 0, upstream: 0 })
    passTime(50 * SECOND_MS)
    expect(await cost(flood)).toEqual(NOTHING)
    passTime(11 * SECOND_MS)
    expect(await cost(flood)).toEqual({ rpc: 1, kv: 0, upstream: 0 })
  })

  it('G17: Forged API tokens cause one question in 5 s while the Account does not answer, and reach tenants at the small rate', async () => {
    const acme = await newIssuer()
    await newBroker().call('GET', keysPath('acme'), acme.token)
    let asked = 0
    const silent = new Proxy({}, { get: () => () => Promise.reject(new Error(`out of reach ${++asked}`)) })
    const ACCOUNT = { idFromName: (name: string) => name, get: () => silent }
    const { edge } = countedEdge({ ACCOUNT, RATE_UNPROVEN: allowing(10) })
    const flood = () => many(30, async () => edge.call('GET', keysPath('acme'), await forgedToken('acme')))
    const answers = await flood()
    expect(answers.map(outcomeOf).sort()).toEqual([...Array(10).fill('401 10000'), ...Array(20).fill('429 31018')])
    expect(asked).toBe(1)
    expect(await flood()).toHaveLength(30)
    expect(asked).toBe(1)
    passTime(6 * SECOND_MS)
    expect(await flood()).toHaveLength(30)
    expect(asked).toBe(2)
    // A good token is known with the copy in KV.
    expect((await edge.call('GET', keysPath('acme'), acme.token)).status).toBe(200)
  })
})

describe('G17: a request at the browser door that proves nothing', () => {
  it('G17: A forged token at the browser door costs nothing after the first, with or without an origin, for any tenant', async () => {
    const provider = playedProvider()
    const [good, foreign] = [await newKey('good'), await newKey('foreign')]
    await provider.serves(good.jwk)
    const tenants = await threeTenants()
    await newBroker().admin('PATCH', '/tenants/acme', { policy: { issuers: [issuerAt(provider)] } })
    passTime(2 * MINUTE_MS)
    const { edge, cost } = countedEdge()
    const unsigned = `${encode(JSON.stringify({ alg: 'none', typ: 'JWT' }))}.${encode(JSON.stringify(rightClaims()))}.`
    const kinds: Record<string, string> = {
      junk: 'junk',
      'a changed client token': `${tenants.exists.clientToken.slice(0, -2)}AA`,
      'an unsigned JWT': unsigned,
      'a JWT signed with another key': await jwtOf(foreign),
      'a JWT of another issuer': await jwtOf(foreign, { iss: 'https://elsewhere.example/' }),
      'a forged API token': await forgedToken('acme'),
    }
    const wrong: string[] = []
    for (const [what, { tenant }] of Object.entries(tenants)) {
      for (const [kind, token] of Object.entries(kinds)) {
        for (const headers of [{}, { origin: APP }]) {
          const ask = () => postForm(edge, tenant, { access_token: token }, headers)
          const first = outcomeOf(await ask())
          const asked = (await provider.asked()).length
          const spent = await cost(() => many(5, ask))
          const got = `${first} ${JSON.stringify(spent)} ${(await provider.asked()).length - asked}`
          if (got !== `401 invalid_token ${JSON.stringify(NOTHING)} 0`) wrong.push(`${kind}, tenant ${what}: ${got}`)
        }
      }
    }
    expect(wrong).toEqual([])
    // The control: a good JWT is let in.
    expect((await askIceServers(edge, 'acme', await jwtOf(good))).status).toBe(201)
  })

  it('G17: Unsigned JWTs and preflights for a tenant that is gone or never was cause one look-up in 5 s', async () => {
    await threeTenants()
    const key = await newKey('foreign')
    const jwt = await jwtOf(key)
    for (const tenant of ['gone', 'never-was']) {
      const floods = {
        preflights: (edge: ReturnType<typeof newBroker>) => preflight(edge, tenant, 'https://foreign.example'),
        JWTs: (edge: ReturnType<typeof newBroker>) => askIceServers(edge, tenant, jwt),
      }
      for (const [what, ask] of Object.entries(floods)) {
        const { edge, cost } = countedEdge()
        const spent = [await cost(() => many(50, () => ask(edge))), await cost(() => many(50, () => ask(edge)))]
        passTime(6 * SECOND_MS)
        spent.push(await cost(() => many(50, () => ask(edge))))
        expect(spent[0], `${what} ${tenant}`).toEqual({ rpc: 1, kv: 1, upstream: 0 })
        expect(spent[1], `${what} ${tenant}`).toEqual(NOTHING)
        expect(spent[2], `${what} ${tenant}`).toEqual({ rpc: 1, kv: 1, upstream: 0 })
      }
    }
  })

  it('G17: Strangers who name ever other tenants reach the Account at a small rate only', async () => {
    await served(newBroker())
    const jwt = await jwtOf(await newKey('foreign'))
    const { edge, cost } = countedEdge({ RATE_UNPROVEN: allowing(10) })
    const outcomes = new Set<string>()
    const spent = await cost(async () => {
      const answers = await many(40, (n) => askIceServers(edge, `stranger-${n}`, jwt))
      for (const answer of answers) outcomes.add(outcomeOf(answer))
    })
    expect(spent).toEqual({ rpc: 10, kv: 40, upstream: 0 })
    expect(outcomes).toEqual(new Set(['401 invalid_token', '429 rate_limited']))
  })

  it('A tenant that an isolate just found missing lets its pages in 5 s after its creation at the latest', async () => {
    const edge = newBroker()
    const ask = () => edge.send(iceServersPath('acme'), { method: 'OPTIONS', headers: { origin: APP } })
    expect(outcomeOf(await ask())).toBe('403 origin_not_allowed')
    await served(newBroker())
    passTime(6 * SECOND_MS)
    expect((await ask()).status).toBe(204)
  })
})
