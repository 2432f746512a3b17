/** The entries of docs/identity-providers.md with tokens as the providers make them: good ones, and those that are not. */
import { describe, expect, it } from 'vitest'
import { parseTenantJwt, readTenantJwt } from '../../../src/auth/tenantJwts.ts'
import { type TenantIssuer, TenantIssuers } from '../../../src/contract/policy/issuers.ts'
import { JWT_REASONS, type JwtReason } from '../../../src/contract/policy/jwtReasons.ts'
import { newBroker } from '../../support/broker/broker.ts'
import { MINUTE_MS, passTime } from '../../support/broker/clock.ts'
import { served } from '../../support/broker/doors.ts'
import { type Key, newKey, notAccepted, notRefused, signed } from '../../support/secrets/idp.ts'
import { CLOUD_LAYOUTS } from './cloudLayouts.ts'
import { HOSTED_LAYOUTS } from './hostedLayouts.ts'
import type { Layout } from './layout.ts'
import { ENTRIES } from './page.ts'
import { SELF_HOSTED_LAYOUTS } from './selfHostedLayouts.ts'

const ALL = [...CLOUD_LAYOUTS, ...HOSTED_LAYOUTS, ...SELF_HOSTED_LAYOUTS]

/** The entry of the page with its defaults. */
function entryOf({ provider, entry }: Layout): TenantIssuer {
  const [parsed] = TenantIssuers.parse([ENTRIES.get(provider)?.[entry]])
  if (!parsed) throw new Error(`${provider} has no such entry`)
  return parsed
}

const keys = new Map<string, Promise<Key>>()
async function keyFor({ alg, header }: Layout): Promise<Key> {
  const made = keys.get(alg) ?? newKey('k', alg)
  keys.set(alg, made)
  const key = await made
  const kid = 'kid' in header ? String(header.kid) : 'k1'
  return { ...key, kid, jwk: { ...key.jwk, kid, use: 'sig', alg } }
}

const withKey = ({ jwksUrl: _, ...entry }: TenantIssuer, { jwk }: Key) => ({ ...entry, jwks: { keys: [jwk] } })

const claimsOf = ({ claims, lifeSeconds }: Layout, changes: object = {}) => {
  const now = Math.floor(Date.now() / 1_000)
  return { iat: now, nbf: now, exp: now + lifeSeconds, ...claims, ...changes }
}

/** What every entry refuses, of every provider: changes of the claims, and why. */
function commonlyRefused(entry: TenantIssuer): Record<string, readonly [object, JwtReason]> {
  const { client, ignoreAudience, subjectClaim, maxLifetimeSeconds } = entry
  const now = Math.floor(Date.now() / 1_000)
  const rows: Record<string, readonly [object, JwtReason]> = {
    'another issuer': [{ iss: 'https://evil.example' }, 'issuer_unknown'],
    'no issuer': [{ iss: undefined }, 'issuer_unknown'],
    'no subject': [{ [subjectClaim]: undefined }, 'subject_missing'],
    'a numeric subject': [{ [subjectClaim]: 7 }, 'subject_malformed'],
    'no end': [{ exp: undefined }, 'exp_missing'],
    'an end that is over': [{ iat: now - 120, nbf: now - 120, exp: now - 60 }, 'expired'],
    'a life too long': [{ exp: now + maxLifetimeSeconds + 1 }, 'lifetime_too_long'],
    'an audience of another form': [{ aud: ['x', 1] }, 'audience_malformed'],
  }
  if (!ignoreAudience) rows['another audience'] = [{ aud: 'other' }, 'audience_foreign']
  if (!client) rows['no audience'] = [{ aud: undefined }, 'audience_missing']
  else if (client.claim !== 'iss') rows['another client'] = [{ [client.claim]: 'other' }, 'client_foreign']
  for (const name of Object.keys(entry.requiredClaims)) rows[`no ${name}`] = [{ [name]: undefined }, 'claim_missing']
  return rows
}

const rowsOf = async (layout: Layout, key: Key, changes: Record<string, object>) =>
  Object.fromEntries(
    await Promise.all(
      Object.entries(changes).map(async ([name, change]) => [
        name,
        await signed(key, claimsOf(layout, change), { alg: layout.alg, ...layout.header }),
      ]),
    ),
  )

async function reasonOf(entry: object, token: string): Promise<unknown> {
  const parsed = parseTenantJwt(token)
  if (typeof parsed === 'string') return parsed
  return readTenantJwt({ issuers: TenantIssuers.parse([entry]), keysAt: async () => [] }, parsed, Date.now())
}

describe('docs/identity-providers.md', () => {
  it('Docs/identity-providers.md has only entries that a policy takes, and each is tried with tokens', () => {
    const tried = new Set(ALL.map(({ provider, entry }) => `${provider} ${entry}`))
    const entries = [...ENTRIES].flatMap(([provider, list]) => list.map((_, at) => `${provider} ${at}`))
    expect(entries.filter((name) => !tried.has(name))).toEqual([])
    expect(entries.length).toBeGreaterThan(20)
    for (const [provider, list] of ENTRIES)
      for (const entry of list) expect(TenantIssuers.safeParse([entry]).error, provider).toBeUndefined()
  })

  it.each(ALL)(
    'Docs/identity-providers.md has an entry for $provider that takes its $token, and nothing else',
    async (layout) => {
      const key = await keyFor(layout)
      const entry = entryOf(layout)
      const issuer = withKey(entry, key)
      const broker = newBroker()
      const acme = await served(broker, 'acme', {
        policy: { issuers: [issuer], maxLiveCredentialsPerSubject: 1_000 },
      })
      passTime(2 * MINUTE_MS) // from here on the clock stands still
      const good = await rowsOf(layout, key, { 'as it is made': {}, ...layout.alsoGood })
      expect(await notAccepted(broker, good)).toEqual([])
      const search = { subject: layout.subject }
      const found = await broker.call('POST', '/v1/tenants/acme/subjects/search', acme.token, search)
      expect(found.status, 'the user').toBe(200)

      const refused = { ...commonlyRefused(entry), ...layout.refused }
      const changes = Object.fromEntries(Object.entries(refused).map(([name, [change]]) => [name, change]))
      const bad = await rowsOf(layout, key, changes)
      const other = await newKey(key.kid, layout.alg)
      bad['another key'] = await signed(other, claimsOf(layout), { alg: layout.alg, ...layout.header })
      bad['a shared secret'] = await signed(key, claimsOf(layout), { ...layout.header, alg: 'HS256' })
      expect(await notRefused(broker, bad)).toEqual([])

      const reasons: Record<string, unknown> = {}
      for (const [name, token] of Object.entries(bad)) reasons[name] = await reasonOf(issuer, String(token))
      expect(reasons).toEqual({
        ...Object.fromEntries(Object.entries(refused).map(([name, [, reason]]) => [name, reason])),
        'another key': 'signature_invalid',
        'a shared secret': 'alg_unsupported',
      })
      expect(Object.values(JWT_REASONS).flat()).toEqual(expect.arrayContaining(Object.values(reasons)))
    },
  )
})
