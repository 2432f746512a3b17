/**
 * G18: what is new in a policy, or at an identity provider, counts within 5 s at an edge that has just asked for the
 * older one: a table of every kind. The clock is moved by hand.
 */
import { describe, expect, it } from 'vitest'
import { countedObjects, staleCache } from '../support/broker/bindings.ts'
import { type Broker, newBroker } from '../support/broker/broker.ts'
import { passTime, SECOND_MS } from '../support/broker/clock.ts'
import { outcomeOf } from '../support/broker/contract.ts'
import { APP, askIceServers, preflight } from '../support/broker/doors.ts'
import { issuerAt, jwtOf, newKey, playedIssuer, playedProvider } from '../support/secrets/idp.ts'
import { newIssuer } from '../support/tenants/issuing.ts'

const REFUSED = '401 invalid_token'
const FOREIGN = '403 origin_not_allowed'
const [key, next] = [await newKey('first'), await newKey('next')]
const provider = playedProvider()
const moved = playedProvider()
const inline = (more: object = {}) => issuerAt({ keys: [key] }, more)

interface Kind {
  readonly before: object[]
  /** Refused before the change, and let in after it. */
  readonly ask: (edge: Broker) => Promise<string>
  readonly refused: string
  readonly after?: object
  readonly rotates?: () => Promise<void>
}

const withJwt = async (edge: Broker, claims: object = {}, by = key) =>
  outcomeOf(await askIceServers(edge, 'acme', await jwtOf(by, claims)))

const KINDS: Record<string, Kind> = {
  'An issuer': {
    before: [],
    after: { issuers: [inline()] },
    ask: (edge) => withJwt(edge),
    refused: REFUSED,
  },
  'Another audience of an issuer': {
    before: [inline()],
    after: { issuers: [inline(), inline({ audience: 'added' })] },
    ask: (edge) => withJwt(edge, { aud: 'added' }),
    refused: REFUSED,
  },
  'A key in `jwks`': {
    before: [inline()],
    after: { issuers: [issuerAt({ keys: [key, next] })] },
    ask: (edge) => withJwt(edge, {}, next),
    refused: REFUSED,
  },
  'A `jwksUrl` in the place of `jwks`': {
    before: [inline()],
    after: { issuers: [issuerAt(provider)] },
    ask: (edge) => withJwt(edge, {}, next),
    refused: REFUSED,
  },
  'Another `jwksUrl`': {
    before: [issuerAt(moved)],
    after: { issuers: [issuerAt(provider)] },
    ask: (edge) => withJwt(edge, {}, next),
    refused: REFUSED,
  },
  'Another algorithm': {
    before: [inline({ algorithms: ['RS256'] })],
    after: { issuers: [inline({ algorithms: ['RS256', 'ES256'] })] },
    ask: (edge) => withJwt(edge),
    refused: REFUSED,
  },
  'Other required claims': {
    before: [inline({ requiredClaims: { role: 'admin' } })],
    after: { issuers: [inline({ requiredClaims: { role: 'caller' } })] },
    ask: (edge) => withJwt(edge, { role: 'caller' }),
    refused: REFUSED,
  },
  'Another claim that names the subject': {
    before: [inline({ subjectClaim: 'uid' })],
    after: { issuers: [inline({ subjectClaim: 'email' })] },
    ask: (edge) => withJwt(edge, { email: 'ann' }),
    refused: REFUSED,
  },
  'A key that the provider has rotated': {
    before: [issuerAt(moved)],
    rotates: () => moved.serves(next.jwk),
    ask: (edge) => withJwt(edge, {}, next),
    refused: REFUSED,
  },
  'An origin, for its preflight,': {
    before: [],
    after: { allowedOrigins: ['https://old.example', APP] },
    ask: async (edge) => outcomeOf(await preflight(edge, 'acme', APP)).replace('204', '201'),
    refused: FOREIGN,
  },
  'An origin, for its request,': {
    before: [inline()],
    after: { allowedOrigins: ['https://old.example', APP] },
    ask: async (edge) => outcomeOf(await askIceServers(edge, 'acme', await jwtOf(key), { origin: APP })),
    refused: FOREIGN,
  },
}

/** A tenant with this policy, and an edge whose KV never shows another one. */
async function edgeOf(issuers: object[]) {
  await moved.serves(key.jwk)
  await provider.serves(next.jwk)
  await newIssuer({ allowedOrigins: ['https://old.example'], issuers })
  const { reached, ...objects } = countedObjects()
  return { reached, edge: newBroker({ CACHE: await staleCache(), ...objects }) }
}

describe('G18: a change of what an edge refuses', () => {
  it.each(Object.entries(KINDS))(
    'G18: %s counts 5 s after it was added, also where it was refused just before',
    async (_, kind) => {
      const { edge } = await edgeOf(kind.before)
      // The worst moment: the edge has just asked.
      passTime(0)
      expect(await kind.ask(edge)).toBe(kind.refused)
      if (kind.after)
        expect(outcomeOf(await newBroker().admin('PATCH', '/tenants/acme', { policy: kind.after }))).toBe('200')
      await kind.rotates?.()
      passTime(5 * SECOND_MS + 1)
      expect(await kind.ask(edge)).toBe('201')
    },
  )

  it('G17: Forged JWTs and preflights of a tenant whose snapshot is old cost together one question of it in 5 s', async () => {
    const { edge, reached } = await edgeOf([inline()])
    const flood = () =>
      Promise.all(
        Array.from({ length: 20 }, async (_, n) => [
          await withJwt(edge, { aud: `a${n}` }, next),
          await withJwt(edge, { sub: 'x'.repeat(200) }, next),
          outcomeOf(await preflight(edge, 'acme', `https://f${n}.example`)),
        ]),
      )
    passTime(120 * SECOND_MS)
    const answers = await flood()
    expect(new Set(answers.flat())).toEqual(new Set([REFUSED, FOREIGN]))
    expect(reached.count).toBe(1)
    passTime(4 * SECOND_MS)
    await flood()
    expect(reached.count).toBe(1)
    passTime(2 * SECOND_MS)
    await flood()
    expect(reached.count).toBe(2)
  })
})

describe('a JWT that an older policy lets in', () => {
  it('A JWT that is verified by the snapshot in KV costs one call of the Tenant, however its entry is written', async () => {
    const { leads, keys, issuer } = playedIssuer()
    await leads()
    await keys.serves(key.jwk)
    const claims = {
      requiredClaims: { role: 'caller', 7: true },
      requiredClaimPaths: [{ value: 'x', path: ['a', 'b'] }],
    }
    const odd = {
      algorithms: ['ES256'],
      ...claims,
      client: { value: 'web', claim: 'azp' },
      ignoreAudience: true,
      issuer,
    }
    const { edge, reached } = await edgeOf([inline(), odd])
    for (const asked of [{}, { iss: issuer, azp: 'web', role: 'caller', 7: true, a: { b: 'x' } }]) {
      reached.count = 0
      expect(await withJwt(edge, asked)).toBe('201')
      expect(reached.count).toBe(1)
    }
  })

  it('A JWT is verified by the newer policy, and its user served, when the entry that let it in has changed', async () => {
    const { edge } = await edgeOf([inline()])
    const aud = ['calls', 'more']
    expect(await withJwt(edge, { aud })).toBe('201')
    const issuers = [inline({ audience: 'more', requiredClaims: { role: 'caller' } })]
    expect(outcomeOf(await newBroker().admin('PATCH', '/tenants/acme', { policy: { issuers } }))).toBe('200')
    expect(await withJwt(edge, { aud, role: 'caller' })).toBe('201')
    expect(await withJwt(edge, { aud })).toBe(REFUSED)
  })

  it('JWTs that an older policy lets in ask together for the newer one', async () => {
    const { edge, reached } = await edgeOf([inline()])
    expect(await withJwt(edge)).toBe('201')
    const issuers = [inline({ requiredClaims: { role: 'caller' } })]
    expect(outcomeOf(await newBroker().admin('PATCH', '/tenants/acme', { policy: { issuers } }))).toBe('200')
    reached.count = 0
    const answers = await Promise.all(Array.from({ length: 20 }, () => withJwt(edge, { role: 'caller' })))
    expect(new Set(answers)).toEqual(new Set(['201']))
    // Each asks for its credential twice at most, and all together once for the snapshot.
    expect(reached.count).toBeLessThanOrEqual(41)
  })
})
