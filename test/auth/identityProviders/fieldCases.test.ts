/** Tokens that people brought and that were refused, or could have been: each with the answer that is right. */
import { describe, expect, it } from 'vitest'
import { parseTenantJwt, readTenantJwt } from '../../../src/auth/tenantJwts.ts'
import { TenantIssuers } from '../../../src/contract/policy/issuers.ts'
import type { JwtReason } from '../../../src/contract/policy/jwtReasons.ts'
import { newBroker } from '../../support/broker/broker.ts'
import { MINUTE_MS, passTime } from '../../support/broker/clock.ts'
import { postForm, served } from '../../support/broker/doors.ts'
import { issuerAt, type Key, newKey, signed } from '../../support/secrets/idp.ts'

const key = await newKey('k1')
const twin = await newKey('k2')
const DAY = 86_400
/** They make a token of 11,000 characters. */
const GROUPS = Array.from({ length: 200 }, (_, at) => `aaaaaaaa-0000-1111-2222-${String(at).padStart(12, '0')}`)

interface Case {
  readonly answer: 'accepted' | JwtReason
  readonly header?: object
  readonly claims?: object
  readonly lifeSeconds?: number
  readonly entry?: object
  readonly keys?: readonly Key[]
  /** What becomes of the token on its way. */
  readonly on?: (token: string) => string
}

const byClient = (claim: string, value: string, more: object = {}) => ({
  audience: undefined,
  client: { claim, value },
  ...more,
})

const CASES: Readonly<Record<string, Case>> = {
  'Auth0, an API with tokens of 30 days': {
    answer: 'accepted',
    lifeSeconds: 30 * DAY,
    entry: { maxLifetimeSeconds: 30 * DAY },
  },
  'Auth0, an API with tokens of 30 days, and an entry that does not say so': {
    answer: 'lifetime_too_long',
    lifeSeconds: 30 * DAY,
  },
  'Clerk, a JWT template with an audience': { answer: 'accepted', header: { cat: 'cl_B7d4PD222JJJ' } },
  'Cognito, an ID token of a day and a second': { answer: 'lifetime_too_long', lifeSeconds: DAY + 1 },
  'Firebase, a session cookie of 5 days': {
    answer: 'accepted',
    lifeSeconds: 5 * DAY,
    entry: { maxLifetimeSeconds: 14 * DAY },
  },
  'Entra, the issuer of a multi-tenant app': {
    answer: 'issuer_unknown',
    claims: { iss: 'https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/v2.0' },
    entry: { issuer: 'https://login.microsoftonline.com/{tenantid}/v2.0' },
  },
  'Entra, a user of 200 groups': { answer: 'accepted', claims: { groups: GROUPS } },
  'Keycloak, a lightweight token': { answer: 'subject_missing', claims: { sub: undefined } },
  'Apple, an ID token': { answer: 'accepted', claims: { c_hash: 'x', email_verified: 'true', nonce_supported: true } },
  'FusionAuth, with an API id of its own': {
    answer: 'accepted',
    header: { gty: ['authorization_code'] },
    claims: { tid: 't', scope: 'openid' },
  },
  'an AWS load balancer, whose header names the signer': {
    answer: 'accepted',
    header: { signer: 'arn:aws:elasticloadbalancing:…', client: 'c', iss: 'https://other.example', exp: 1 },
  },
  'an AWS load balancer, with the padding that it adds': {
    answer: 'not_a_jws',
    on: (token) => token.replace('.', '==.'),
  },
  'Duende, at+jwt with a thumbprint': {
    answer: 'accepted',
    header: { typ: 'at+jwt', x5t: 'AAAA' },
    claims: { idp: 'local' },
  },
  'Authentik, with groups and no nonce': {
    answer: 'accepted',
    claims: { acr: 'goauthentik.io/providers/oauth2/default', groups: ['a'] },
  },
  'Convex and PropelAuth, no audience and no client': {
    answer: 'accepted',
    claims: { aud: undefined },
    entry: byClient('iss', 'https://login.example/'),
  },
  'a client of Cognito, and an entry with an audience': {
    answer: 'audience_missing',
    claims: { aud: undefined, client_id: 'c' },
  },
  'two keys, and no kid': { answer: 'key_ambiguous', header: { kid: undefined }, keys: [key, twin] },
  'one key, and no kid': { answer: 'accepted', header: { kid: undefined } },
  'a numeric subject': { answer: 'subject_malformed', claims: { sub: 12_345 } },
  'typ Bearer': { answer: 'accepted', header: { typ: 'Bearer' } },
  'cty JWT': { answer: 'nested_jwt', header: { cty: 'JWT' } },
  'HS256 with a shared secret': { answer: 'alg_unsupported', header: { alg: 'HS256' } },
  'Keycloak roles under a name with dots': {
    answer: 'claim_nested',
    claims: { realm_access: { roles: ['caller'] } },
    entry: { requiredClaims: { 'realm_access.roles': 'caller' } },
  },
  'Keycloak roles by their path': {
    answer: 'accepted',
    claims: { realm_access: { roles: ['caller'] } },
    entry: { requiredClaimPaths: [{ path: ['realm_access', 'roles'], value: 'caller' }] },
  },
  'Ed25519 in the entry, EdDSA nowhere': { answer: 'alg_not_allowed', entry: { algorithms: ['Ed25519'] } },
}

/** Seconds by which the provider's clock is ahead. */
const CLOCKS: readonly (readonly [object, number, Case['answer']])[] = [
  [{}, 25, 'accepted'],
  [{ nbf: undefined }, 35, 'issued_in_future'],
  [{}, 45, 'not_yet_valid'],
  [{}, -3_625, 'accepted'],
  [{}, -3_635, 'expired'],
]

async function outcomeOf(
  { header, claims, lifeSeconds = 3_600, entry = {}, keys = [key], on = (it) => it }: Case,
  ahead = 0,
) {
  const broker = newBroker()
  const issuer = { ...issuerAt({ keys }), ...entry }
  await served(broker, 'acme', { policy: { issuers: [issuer] } })
  passTime(2 * MINUTE_MS)
  const now = Math.floor(Date.now() / 1_000) + ahead
  const times = { iat: now, nbf: now, exp: now + lifeSeconds }
  const said = { iss: 'https://login.example/', aud: 'calls', sub: 'alice', ...times, ...claims }
  const token = on(await signed(key, said, { alg: 'ES256', kid: 'k1', typ: 'JWT', ...header }))
  const parsed = parseTenantJwt(token)
  const issuers = TenantIssuers.parse(JSON.parse(JSON.stringify([issuer])))
  const read =
    typeof parsed === 'string' ? parsed : await readTenantJwt({ issuers, keysAt: async () => [] }, parsed, Date.now())
  const { status } = await postForm(broker, 'acme', { access_token: token })
  return { status, answer: typeof read === 'string' ? read : 'accepted' }
}

const right = (answer: Case['answer']) => ({ status: answer === 'accepted' ? 201 : 401, answer })

describe('a token as people bring it', () => {
  it.each(Object.entries(CASES))('A token as people bring it has the right answer: %s', async (_, row) => {
    expect(await outcomeOf(row)).toEqual(right(row.answer))
  })

  it.each(CLOCKS)(
    'A token as people bring it has the right answer: %j by a clock that is %i s ahead',
    async (claims, ahead, answer) => {
      expect(await outcomeOf({ answer, claims }, ahead)).toEqual(right(answer))
    },
  )

  it('A token as people bring it may be signed under either name of Ed25519, whichever the entry and the key have', async () => {
    const ed = await newKey('ed', 'EdDSA')
    for (const alg of ['EdDSA', 'Ed25519']) {
      for (const listed of ['EdDSA', 'Ed25519']) {
        for (const named of [undefined, 'EdDSA', 'Ed25519']) {
          const issuers = TenantIssuers.parse([
            {
              ...issuerAt({ keys: [] }),
              jwks: { keys: [{ ...ed.jwk, ...(named ? { alg: named } : {}) }] },
              algorithms: [listed],
            },
          ])
          const claims = {
            iss: 'https://login.example/',
            aud: 'calls',
            sub: 'a',
            exp: Math.floor(Date.now() / 1_000) + 60,
          }
          const parsed = parseTenantJwt(await signed(ed, claims, { alg, kid: 'ed' }))
          const read =
            typeof parsed === 'string'
              ? parsed
              : await readTenantJwt({ issuers, keysAt: async () => [] }, parsed, Date.now())
          expect(read, `${alg}, ${listed}, ${named}`).toMatchObject({ subject: 'a' })
        }
      }
    }
  })
})
