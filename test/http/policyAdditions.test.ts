/** What is added to a policy counts at an edge that still has the older snapshot, within 5 s, and costs one question in 5 s. */
import { describe, expect, it } from 'vitest'
import { countedObjects, staleCache } from '../support/broker/bindings.ts'
import { newBroker } from '../support/broker/broker.ts'
import { passTime, SECOND_MS } from '../support/broker/clock.ts'
import { outcomeOf } from '../support/broker/contract.ts'
import { askIceServers, iceServersPath } from '../support/broker/doors.ts'
import { issuerAt, jwtOf, newKey, playedProvider } from '../support/secrets/idp.ts'
import { newIssuer } from '../support/tenants/issuing.ts'

const NEW = 'https://new.example'

/** An edge with the tenant's snapshot of now, and KV that never shows a later one. */
async function edgeOf(policy: object = {}) {
  const acme = await newIssuer(policy)
  const { reached, ...objects } = countedObjects()
  const edge = newBroker({ CACHE: await staleCache(), ...objects })
  const headers = (origin: string, token: string) => ({ origin, authorization: `Bearer ${token}` })
  const ask = (token: string, origin: string) =>
    edge.call('POST', iceServersPath('acme'), undefined, undefined, headers(origin, token))
  const preflight = (origin: string) =>
    edge.call('OPTIONS', iceServersPath('acme'), undefined, undefined, {
      origin,
      'access-control-request-method': 'POST',
    })
  const patch = (change: object) => newBroker().admin('PATCH', '/tenants/acme', { policy: change })
  return { acme, edge, reached, ask, preflight, patch }
}

describe('an origin that was added to a policy', () => {
  it.each([
    ['An origin', NEW, NEW],
    ['A wildcard', 'https://*.new.example.com', 'https://pr-7.new.example.com'],
    ['The origin null', 'null', 'null'],
  ])('G18: %s that was just added is allowed at an edge that has the older policy', async (_, rule, origin) => {
    const { acme, ask, preflight, patch } = await edgeOf({ allowedOrigins: ['https://old.example'] })
    const token = await acme.clientToken()
    expect(outcomeOf(await ask(token, 'https://old.example'))).toBe('201')
    expect(outcomeOf(await patch({ allowedOrigins: ['https://old.example', rule] }))).toBe('200')
    expect(outcomeOf(await preflight(origin))).toBe('204')
    expect(outcomeOf(await ask(token, origin))).toBe('201')
  })

  it('G17: Foreign origins cause one question of the Tenant in 5 s, however many come', async () => {
    const { acme, reached, ask, preflight } = await edgeOf({
      allowedOrigins: ['https://old.example', 'https://*.app.example.com', 'moz-extension://*'],
    })
    const token = await acme.clientToken()
    await ask(token, 'https://old.example')
    reached.count = 0
    const foreign = (n: number) => [
      ask(token, `https://f${n}.example`),
      preflight(`https://p${n}.example`),
      ask(token, `https://a.b${n}.app.example.com`),
      preflight(n % 2 ? 'null' : `moz-extension://${n}`),
    ]
    const answers = await Promise.all(Array.from({ length: 50 }, (_, n) => foreign(n)).flat())
    expect(new Set(answers.map(outcomeOf))).toEqual(new Set(['403 origin_not_allowed']))
    expect(reached.count).toBe(1)
    passTime(6 * SECOND_MS)
    await Promise.all(foreign(99))
    expect(reached.count).toBe(2)
  })

  it('G17: Preflights without any snapshot share one look-up, and later ones are answered from it', async () => {
    await newIssuer({ allowedOrigins: ['https://old.example'] })
    const { reached, ...objects } = countedObjects()
    const empty = { get: () => Promise.resolve(null) } as unknown as KVNamespace // the edge only reads
    const edge = newBroker({ CACHE: empty, ...objects })
    const headers = { origin: 'https://foreign.example', 'access-control-request-method': 'POST' }
    const preflight = () => edge.call('OPTIONS', iceServersPath('acme'), undefined, undefined, headers)
    await Promise.all(Array.from({ length: 100 }, preflight))
    // One asks the Account whether there is such a tenant, one the Tenant, whose answer needs no recheck.
    expect(reached.count).toBe(2)
    reached.count = 0
    await preflight()
    expect(reached.count).toBe(0)
  })
})

describe('an issuer that was added to a policy', () => {
  it('G18: A JWT of an issuer that was just added is accepted at an edge that has the older policy', async () => {
    const key = await newKey('first')
    const provider = playedProvider()
    await provider.serves(key.jwk)
    const { edge, patch } = await edgeOf()
    const jwt = await jwtOf(key, { aud: 'added' })
    expect(outcomeOf(await askIceServers(edge, 'acme', jwt))).toBe('401 invalid_token')
    passTime(6 * SECOND_MS)
    expect(outcomeOf(await patch({ issuers: [issuerAt(provider, { audience: 'added' })] }))).toBe('200')
    expect(outcomeOf(await askIceServers(edge, 'acme', jwt))).toBe('201')
  })

  it('G17: JWTs of an unknown issuer cause one question of the Tenant in 5 s, however many come', async () => {
    const key = await newKey('forger')
    const { edge, reached } = await edgeOf()
    const jwts = await Promise.all(Array.from({ length: 40 }, (_, n) => jwtOf(key, { aud: `a${n}` })))
    await askIceServers(edge, 'acme', jwts[0] ?? '')
    passTime(6 * SECOND_MS)
    reached.count = 0
    const answers = await Promise.all(jwts.map((jwt) => askIceServers(edge, 'acme', jwt)))
    expect(new Set(answers.map(outcomeOf))).toEqual(new Set(['401 invalid_token']))
    expect(reached.count).toBe(1)
  })
})

describe('the readiness probe', () => {
  it('G17: Parallel readiness probes cause one call of the Account', async () => {
    const { reached, ...objects } = countedObjects()
    const edge = newBroker(objects)
    await Promise.all(Array.from({ length: 100 }, () => edge.call('GET', '/readyz', undefined)))
    expect(reached.count).toBe(1)
  })
})
