/** What a policy may say of an issuer, at creation and in a patch. */
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { expectStatus } from '../../support/broker/broker.ts'
import { outcomeOf } from '../../support/broker/contract.ts'
import { type Key, newKey } from '../../support/secrets/idp.ts'
import { accountSql } from '../../support/storage/tenantRows.ts'
import { AZP, acmeBroker, byClient, GOOD_URL, inline, others, patch, policyOf, right } from './policies.ts'

describe('an issuer in a policy', () => {
  it('An issuer in a policy has exactly its fields within their bounds; all else is a 400', async () => {
    const broker = await acmeBroker()
    const { jwk }: Key = await newKey('a')
    const rows: [string, unknown][] = [
      ['no list', right()],
      ['text', 'https://login.example'],
      ['null in the list', [null]],
      ['a list in the list', [[right()]]],
      ['both', [right({ jwks: { keys: [jwk] } })]],
      ['an unknown field', [right({ jku: GOOD_URL })]],
      ['eleven', Array.from({ length: 11 }, (_, at) => right({ audience: `a${at}` }))],
      ['the same twice', [right(), right({ algorithms: ['ES256'] })]],
      ['no issuer', [right({ issuer: undefined })]],
      ['an empty issuer', [right({ issuer: '' })]],
      ['an issuer of 256 characters', [right({ issuer: 'i'.repeat(256) })]],
      ['no audience', [right({ audience: undefined })]],
      ['an empty audience', [right({ audience: '' })]],
      ['no audience in the list', [right({ audience: [] })]],
      ['an audience twice', [right({ audience: ['calls', 'calls'] })]],
      ['an empty audience in the list', [right({ audience: ['calls', ''] })]],
      ['eleven audiences', [right({ audience: Array.from({ length: 11 }, (_, at) => `a${at}`) })]],
      ['audiences that overlap', [right({ audience: ['a', 'b'] }), right({ audience: 'b' })]],
      ['audience and client', [right({ client: AZP })]],
      ['neither audience nor client', [right({ audience: undefined })]],
      ['the same client twice', [byClient(AZP), byClient(AZP)]],
      ['a client without a claim', [byClient({ value: 'web' })]],
      ['a client without a value', [byClient({ claim: 'azp' })]],
      ['a client with more fields', [byClient({ ...AZP, jku: 'x' })]],
      ['a client with an empty value', [byClient({ claim: 'azp', value: '' })]],
      ['a client whose value is no text', [byClient({ claim: 'azp', value: 1 })]],
      ['a client whose claim is aud', [byClient({ claim: 'aud', value: 'calls' })]],
      ['a client whose claim is iss, with another value', [byClient({ claim: 'iss', value: 'https://other.example' })]],
      ['ignoreAudience beside audience', [right({ ignoreAudience: true })]],
      ['ignoreAudience as text', [byClient(AZP, { ignoreAudience: 'true' })]],
      ...[0, -1, 0.5, 2_764_801, '60', null].map((seconds): [string, unknown] => [
        `maxLifetimeSeconds ${seconds}`,
        [right({ maxLifetimeSeconds: seconds })],
      ]),
      ...[{}, 'a', [{}], [{ path: ['a'] }], [{ value: 1 }], [{ path: 'a', value: 1 }], [{ path: [], value: 1 }]].map(
        (paths): [string, unknown] => [
          `requiredClaimPaths ${JSON.stringify(paths)}`,
          [right({ requiredClaimPaths: paths })],
        ],
      ),
      ['a path with an empty name', [right({ requiredClaimPaths: [{ path: ['a', ''], value: 1 }] })]],
      ['a path of nine names', [right({ requiredClaimPaths: [{ path: Array(9).fill('a'), value: 1 }] })]],
      ['a path with an object as value', [right({ requiredClaimPaths: [{ path: ['a'], value: {} }] })]],
      ['21 paths', [right({ requiredClaimPaths: Array(21).fill({ path: ['a'], value: 1 }) })]],
      ['no algorithms', [right({ algorithms: undefined })]],
      ['none of them', [right({ algorithms: [] })]],
      ['an algorithm twice', [right({ algorithms: ['RS256', 'RS256'] })]],
      ['one as text', [right({ algorithms: 'RS256' })]],
      ...['none', 'None', 'HS256', 'HS384', 'HS512', 'ES256K', 'RS1', 'rs256', 'Ed448', '', null].map(
        (alg): [string, unknown] => [`algorithm ${alg}`, [right({ algorithms: ['RS256', alg] })]],
      ),
      ...['', 'a b', 'a\n', 'ä', 'x'.repeat(129), 1, null].map((claim): [string, unknown] => [
        `subjectClaim ${claim}`,
        [right({ subjectClaim: claim })],
      ]),
      ['requiredClaims in a list', [right({ requiredClaims: ['role'] })]],
      ['a required object', [right({ requiredClaims: { role: {} } })]],
      ['a required null', [right({ requiredClaims: { role: null } })]],
      ['a required list', [right({ requiredClaims: { role: ['a'] } })]],
      ['a required claim without a name', [right({ requiredClaims: { '': 'a' } })]],
      ['a required text too long', [right({ requiredClaims: { role: 'x'.repeat(256) } })]],
      ['no keys', [inline()]],
      ['keys that are none', [right({ jwksUrl: undefined, jwks: { keys: {} } })]],
      ['a bare key', [right({ jwksUrl: undefined, jwks: jwk })]],
      ['51 keys', [inline(...Array.from({ length: 51 }, () => ({ kty: 'EC' })))]],
      ['a private key', [inline({ ...jwk, d: 'AAAA' })]],
      ['a private key after a good one', [inline(jwk, { ...jwk, kid: 'b', d: '' })]],
      ['a secret', [inline({ kty: 'oct', k: 'AAAA' })]],
      ['a secret that says EC', [inline({ ...jwk, k: 'AAAA' })]],
      ['a key of no kind', [inline({ ...jwk, kty: undefined })]],
      ['a key of an unknown kind', [inline({ ...jwk, kty: 'AKP' })]],
      ['a key id that is no text', [inline({ ...jwk, kid: 1 })]],
      ['a key as text', [inline('MIIB')]],
    ]
    expect(await others('400 invalid_request', broker, rows)).toEqual([])
    const text = `{"policy":{"issuers":[${JSON.stringify(right({ requiredClaims: {} })).replace('{}', '{"__proto__":"x"}')}]}}`
    const proto = await broker.call('PATCH', '/v1/admin/tenants/acme', env.ADMIN_TOKEN, text)
    expect(outcomeOf(proto), 'a requirement is not lost in silence').toBe('400 invalid_request')
    expect(await policyOf(broker)).toMatchObject({ issuers: [] })
    expect(await accountSql('SELECT * FROM issuers'), 'nothing was claimed').toEqual([])
  })

  it('An issuer in a policy is answered as it was given, with its defaults; ten fit, and a public key keeps what it needs', async () => {
    const broker = await acmeBroker()
    const { jwk } = await newKey('a')
    const full = [
      byClient(AZP, { ignoreAudience: true, requiredClaimPaths: [{ path: ['a', '__proto__'], value: true }] }),
      right({ audience: ['a', 'b'], maxLifetimeSeconds: 2_764_800, algorithms: ['Ed25519', 'EdDSA'] }),
      byClient({ claim: 'iss', value: 'https://login.example' }),
    ]
    expect(await others('200', broker, [['every field', full]])).toEqual([])
    expect(await policyOf(broker)).toMatchObject({ issuers: JSON.parse(JSON.stringify(full)) })
    const ten = Array.from({ length: 10 }, (_, at) => right({ audience: `a${at}` }))
    expect(await others('200', broker, [['ten', ten]])).toEqual([])
    const more = { requiredClaims: { role: 'caller', level: 3, verified: true }, subjectClaim: 'https://a.example/b' }
    expectStatus(await patch(broker, { issuers: [{ ...inline({ ...jwk, x5c: ['MIIB'], ext: true }), ...more }] }), 200)
    const { kty, crv, x, y, kid } = jwk
    expect(await policyOf(broker)).toMatchObject({ issuers: [{ jwks: { keys: [{ kty, crv, x, y, kid }] }, ...more }] })
    expect(JSON.stringify(await policyOf(broker))).not.toContain('x5c')
    expectStatus(await patch(broker, { issuers: [right()] }), 200)
    expect((await policyOf(broker)).issuers).toEqual([
      right({ subjectClaim: 'sub', requiredClaims: {}, requiredClaimPaths: [], maxLifetimeSeconds: 86_400 }),
    ])
  })

  it('An issuer in a policy is replaced with the whole list by a merge patch, kept when absent, gone with null', async () => {
    const broker = await acmeBroker()
    const audiences = async () => (await policyOf(broker)).issuers.map(({ audience }: { audience: string }) => audience)
    expectStatus(await patch(broker, { issuers: [right({ audience: 'a' }), right({ audience: 'b' })] }), 200)
    expectStatus(await patch(broker, { maxTtl: 7_200 }), 200)
    expect(await audiences()).toEqual(['a', 'b'])
    expectStatus(await patch(broker, { issuers: [right({ audience: 'c' })] }), 200)
    expect(await audiences()).toEqual(['c'])
    for (const nothing of [{ issuers: null }, { issuers: [] }, null]) {
      expectStatus(await patch(broker, { issuers: [right()] }), 200)
      expectStatus(await patch(broker, nothing), 200)
      expect(await audiences()).toEqual([])
    }
  })
})
