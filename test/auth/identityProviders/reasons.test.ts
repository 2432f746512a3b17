/** The reason of each refusal, and that the check of all rules and the door agree. Pure: nothing is stored or asked. */
import { describe, expect, it } from 'vitest'
import { MAX_JWT_CHARACTERS } from '../../../src/auth/compactJws.ts'
import { checkTenantJwt, parseTenantJwt, readTenantJwt } from '../../../src/auth/tenantJwts.ts'
import { type Jwk, TenantIssuers } from '../../../src/contract/policy/issuers.ts'
import { JWT_REASONS } from '../../../src/contract/policy/jwtReasons.ts'
import { AUDIENCE, ISSUER, issuerAt, type Key, newKey, rightClaims, signed } from '../../support/secrets/idp.ts'

const key = await newKey('good')
const other = await newKey('other')
const AZP = { claim: 'azp', value: 'web' }
const REQUIRED = {
  requiredClaims: { role: 'caller', 'realm.role': 1 },
  requiredClaimPaths: [{ path: ['a', 'b'], value: 'c' }],
}
const rightly = { role: 'caller', 'realm.role': 1, a: { b: ['c'] } }

interface Row {
  readonly claims?: object
  readonly header?: object
  readonly signer?: Key
  readonly keys?: readonly unknown[]
  readonly entries?: readonly object[]
  readonly token?: string
}

const entry = (more: object = {}) => ({ ...issuerAt({ jwksUrl: 'https://login.example/jwks' }), ...REQUIRED, ...more })
const byClient = entry({ audience: undefined, client: AZP })

/** Ways to break each rule, by the reason that is given. */
const ROWS: Readonly<Record<string, readonly Row[]>> = {
  too_long: [{ token: 'x'.repeat(MAX_JWT_CHARACTERS + 1) }],
  not_a_jws: [
    { token: '' },
    { token: 'a.b.c' },
    { token: `${btoa('{"alg":"ES256","alg":"ES256"}').replaceAll('=', '')}.e30.AA` },
    { token: `${btoa('{"alg":"ES256"}')}.${btoa('{"sub":"a","sub":"b"}').replaceAll('=', '')}.AA` },
    { token: `${btoa('{"alg":"ES256"}')}.${btoa(`${'{"a":'.repeat(33)}1${'}'.repeat(33)}`).replaceAll('=', '')}.AA` },
  ],
  header_forbidden: [
    { header: { jku: 'https://evil.example' } },
    { header: { crit: ['exp'] } },
    { header: { b64: true } },
    { header: { zip: 'DEF' } },
    { header: { enc: 'A128GCM' } },
    { header: { jwk: null } },
  ],
  typ_unknown: [{ header: { typ: 'logout+jwt' } }, { header: { typ: '' } }, { header: { typ: null } }],
  nested_jwt: [{ header: { cty: 'JWT' } }, { header: { cty: 'application/jwt' } }],
  kid_malformed: [{ header: { kid: '' } }, { header: { kid: 1 } }, { header: { kid: 'x'.repeat(257) } }],
  alg_unsupported: [{ header: { alg: 'none' } }, { header: { alg: 'HS256' } }, { header: { alg: ['ES256'] } }],
  issuer_unknown: [{ claims: { iss: undefined } }, { claims: { iss: [ISSUER] } }, { entries: [] }],
  issuer_slash: [
    { claims: { iss: ISSUER.slice(0, -1) } },
    { entries: [entry({ issuer: ISSUER.slice(0, -1) }), entry({ issuer: 'https://later.example' })] },
  ],
  audience_malformed: [{ claims: { aud: [AUDIENCE, 1] } }, { claims: { aud: {} } }, { claims: { aud: 7 } }],
  audience_missing: [{ claims: { aud: undefined } }, { claims: { aud: [] } }, { claims: { aud: '' } }],
  audience_foreign: [
    { claims: { aud: 'x' } },
    { claims: { aud: ['', 'x'] } },
    { claims: { aud: 'x', azp: 'web' }, entries: [byClient] },
    { claims: { aud: 'x', azp: 'web' }, entries: [entry(), byClient] },
  ],
  client_foreign: [
    { claims: { aud: null, azp: 'x' }, entries: [byClient] },
    { claims: { aud: undefined, azp: ['web'] }, entries: [entry(), byClient] },
    { claims: { azp: 'x' }, entries: [{ ...byClient, ignoreAudience: true }] },
  ],
  alg_not_allowed: [{ entries: [entry({ algorithms: ['RS256', 'EdDSA'] })] }],
  exp_missing: [{ claims: { exp: undefined } }],
  exp_malformed: [{ claims: { exp: '9' } }, { claims: { exp: null } }, { claims: { exp: Date.now() } }],
  expired: [{ claims: { exp: 0 } }, { claims: { exp: 1.5 } }],
  nbf_malformed: [{ claims: { nbf: -1 } }, { claims: { nbf: 1e30 } }],
  not_yet_valid: [{ claims: { nbf: 253_402_300_799 } }],
  iat_malformed: [{ claims: { iat: true } }],
  issued_in_future: [{ claims: { iat: 253_402_300_798, exp: 253_402_300_799 } }],
  lifetime_too_long: [
    { claims: { iat: 1 } },
    { claims: { iat: undefined }, entries: [entry({ maxLifetimeSeconds: 60 })] },
  ],
  claim_missing: [
    { claims: { role: undefined } },
    { claims: { a: undefined } },
    { claims: { a: ['b'] } },
    { claims: { a: { b: undefined } } },
    { claims: { 'a.b': 'c', a: undefined } },
    { entries: [entry({ requiredClaimPaths: [{ path: ['a', 'b', '0'], value: 'c' }] })] },
    { entries: [entry({ requiredClaimPaths: [{ path: ['a', 'constructor', 'name'], value: 'Object' }] })] },
  ],
  claim_nested: [{ claims: { 'realm.role': undefined, realm: { role: 1 } } }],
  claim_differs: [{ claims: { role: 'Caller' } }, { claims: { a: { b: 'C' } } }, { claims: { a: { b: { c: 'c' } } } }],
  subject_missing: [{ claims: { sub: undefined } }],
  subject_malformed: [{ claims: { sub: 7 } }, { claims: { sub: '' } }, { claims: { sub: 'a\n' } }],
  key_set_unavailable: [{ keys: [] }],
  key_unknown: [{ keys: [other.jwk] }],
  key_ambiguous: [{ header: { kid: undefined }, keys: [key.jwk, other.jwk] }],
  key_unusable: [{ keys: [{ ...key.jwk, use: 'enc' }] }, { keys: [{ ...key.jwk, y: key.jwk.x }] }],
  signature_invalid: [{ signer: other }],
}

async function checked({ claims, header, signer = key, keys = [key.jwk], entries = [entry()], token }: Row) {
  const full = { alg: 'ES256', kid: 'good', typ: 'JWT', ...header }
  const text = token ?? (await signed(signer, { ...rightClaims(), ...rightly, ...claims }, full))
  const trust = {
    issuers: TenantIssuers.parse(JSON.parse(JSON.stringify(entries))),
    keysAt: async () => keys as readonly Jwk[],
  } // some are spoiled
  const parsed = parseTenantJwt(text)
  const now = Date.now()
  return {
    text,
    atTheDoor: typeof parsed === 'string' ? parsed : await readTenantJwt(trust, parsed, now),
    check: await checkTenantJwt(trust, text, now),
  }
}

describe("the rules of a tenant's JWT", () => {
  it("The rules of a tenant's JWT each have a token that breaks them, for every reason", () => {
    expect(Object.keys(ROWS).sort()).toEqual([...new Set(Object.values(JWT_REASONS).flat())].sort())
  })

  it.each(Object.keys(ROWS))(
    "The rules of a tenant's JWT give the reason %s at the door and in the check of all rules",
    async (reason) => {
      for (const row of ROWS[reason] ?? []) {
        const { atTheDoor, check } = await checked(row)
        expect(atTheDoor, JSON.stringify(row)).toBe(reason)
        expect(check.accepted).toBeNull()
        const broken = check.results.filter((result) => result.reason !== null)
        expect(broken[0]?.reason, JSON.stringify(row)).toBe(reason)
        for (const result of broken) expect(JWT_REASONS[result.rule]).toContain(result.reason)
      }
    },
  )

  it("The rules of a tenant's JWT are all met by a right token, with what it says and without its signature", async () => {
    const more = { sub: 'ünïcode', exp: rightClaims().exp }
    const { text, atTheDoor, check } = await checked({
      claims: more,
      entries: [entry({ issuer: 'https://x' }), entry()],
    })
    expect(atTheDoor).toMatchObject({ entry: { issuer: ISSUER, audience: AUDIENCE }, subject: 'ünïcode' })
    expect(check.accepted).toEqual(atTheDoor)
    expect(check.entry, 'its place in the policy').toBe(1)
    expect(check.results.map(({ rule }) => rule)).toEqual(Object.keys(JWT_REASONS))
    expect(check.results.filter(({ reason }) => reason !== null)).toEqual([])
    const seen = Object.fromEntries(check.results.map((result) => [result.rule, result.seen]))
    expect(seen).toMatchObject({
      issuer: ISSUER,
      recipient: { aud: AUDIENCE },
      subject: 'ünïcode',
      key: { kid: 'good', kty: 'EC' },
      requiredClaimPaths: [['c']],
    })
    expect(JSON.stringify(check)).not.toContain(text.slice(text.lastIndexOf('.') + 1))
  })

  it("The rules of a tenant's JWT are all checked also where one is broken early", async () => {
    const { check } = await checked({ header: { typ: 'x' }, claims: { iss: 'https://evil.example', exp: 0 } })
    const broken = check.results.flatMap(({ reason }) => reason ?? [])
    expect(broken).toEqual(['typ_unknown', 'issuer_unknown', 'expired'])
    expect(check.results.map(({ rule }) => rule)).toEqual(Object.keys(JWT_REASONS))
  })
})
