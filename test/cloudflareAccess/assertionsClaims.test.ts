/** Assertions that the team has signed and that open nothing: what they say is wrong, or gives no role. */
import { describe, expect, it } from 'vitest'
import { countedObjects } from '../support/broker/bindings.ts'
import { expectStatus } from '../support/broker/broker.ts'
import { outcomeOf, shown } from '../support/broker/contract.ts'
import {
  ACCESS,
  AUD,
  assertionOf,
  newAccessBroker,
  newTeam,
  notAnswered,
  notRefused,
  personClaims,
  SERVICE,
  serviceClaims,
  TEAM,
  through,
  withoutClaim,
  withText,
} from '../support/secrets/access.ts'
import { asText, type Rows } from '../support/secrets/forger.ts'

/** Wide of what a test may usually take: hundreds of signatures. */
const A_TABLE_MS = 60_000

describe('an assertion of Cloudflare Access', () => {
  it(
    'G13: An assertion of another team, application, kind or time, or of no clear identity, is refused',
    async () => {
      await newTeam()
      const now = Math.floor(Date.now() / 1_000) + 120
      const claims: Record<string, unknown> = {
        'another team': personClaims({ iss: 'https://other.cloudflareaccess.com' }),
        'the team in upper case': personClaims({ iss: `https://${TEAM.toUpperCase()}` }),
        'the team with a slash': personClaims({ iss: `https://${TEAM}/` }),
        'the team over http': personClaims({ iss: `http://${TEAM}` }),
        'the team without a scheme': personClaims({ iss: TEAM }),
        'teams in a list': personClaims({ iss: [`https://${TEAM}`] }),
        'the team with a letter that looks alike': personClaims({ iss: `https://${TEAM.replace('a', '\u0430')}` }),
        'no issuer': withoutClaim('iss'),
        'another application': personClaims({ aud: ['c3'.repeat(32)] }),
        'the application in upper case': personClaims({ aud: [AUD.toUpperCase()] }),
        'a part of the audience': personClaims({ aud: [AUD.slice(0, -1)] }),
        'both audiences in one text': personClaims({ aud: ACCESS.ACCESS_AUD }),
        'an empty list of audiences': personClaims({ aud: [] }),
        'audiences as an object': personClaims({ aud: { 0: AUD } }),
        'audiences in a list of a list': personClaims({ aud: [[AUD]] }),
        'no audience': withoutClaim('aud'),
        'the session of the team': personClaims({ type: 'org' }),
        'another type': personClaims({ type: 'App' }),
        'types in a list': personClaims({ type: ['app'] }),
        'no type': withoutClaim('type'),
        expired: personClaims({ iat: now - 900, nbf: now - 900, exp: now - 31 }),
        'an end in text': personClaims({ exp: String(now + 600) }),
        'an end at 1e30': personClaims({ exp: 1e30 }),
        'no end': withoutClaim('exp'),
        'not valid yet': personClaims({ nbf: now + 200 }),
        'a beginning in text': personClaims({ nbf: String(now) }),
        'issued in the future': personClaims({ iat: now + 200 }),
        'a time of issue in text': personClaims({ iat: String(now) }),
        'no identity': withoutClaim('email'),
        'a service token without common_name': serviceClaims({ common_name: undefined }),
        'a person and a service token at once': personClaims({ common_name: SERVICE }),
        'an empty common_name': serviceClaims({ common_name: '' }),
        'a common_name with a space': serviceClaims({ common_name: `${SERVICE} ` }),
        'a common_name of another type': serviceClaims({ common_name: [SERVICE] }),
        'a common_name that is too long': serviceClaims({ common_name: 'x'.repeat(129) }),
        'an empty e-mail address': personClaims({ email: '' }),
        'e-mail addresses in a list': personClaims({ email: ['owner@example.com'] }),
        'an e-mail address that is an object': personClaims({ email: { toString: 'owner@example.com' } }),
        'an e-mail address with a space': personClaims({ email: 'owner@example.com ' }),
        'an e-mail address with a line break': personClaims({ email: 'owner@example.com\n' }),
        'an e-mail address with a null byte': personClaims({ email: 'owner@example.com\u0000' }),
        'an e-mail address with a display name': personClaims({ email: 'Owner <owner@example.com>' }),
        'two e-mail addresses in one text': personClaims({ email: 'owner@example.com,x@example.com' }),
        'an e-mail address with a Kelvin sign': personClaims({ email: 'blo\u212A@example.com' }),
        'an e-mail address with a full-width letter': personClaims({ email: '\uFF4Fwner@example.com' }),
        'an e-mail address with a Cyrillic letter': personClaims({ email: '\u043Ewner@example.com' }),
        'an e-mail address with a combining mark': personClaims({ email: 'o\u0301wner@example.com' }),
        'an e-mail address with an invisible letter': personClaims({ email: 'owner\u200B@example.com' }),
        'an e-mail address with a right-to-left mark': personClaims({ email: '\u202Eowner@example.com' }),
        'an e-mail address that reads like a service token': personClaims({ email: `service:${SERVICE}@x` }),
        'an e-mail address that is too long': personClaims({ email: `${'x'.repeat(250)}@example.com` }),
        'an e-mail address in the prototype': asText(withoutClaim('email')).replace(
          '{',
          '{"__proto__":{"email":"owner@example.com"},',
        ),
        'an e-mail address twice': withText('"email":"viewer@example.com"'),
        'an issuer twice': withText('"iss":"https://other.cloudflareaccess.com"'),
        'the same claim twice, once escaped': withText('"\\u0065mail":"viewer@example.com"'),
        'a name twice deep inside': withText('"custom":{"groups":"turn-admins","groups":"x"}'),
      }
      const rows: Rows = {}
      for (const [name, of] of Object.entries(claims)) rows[name] = await assertionOf(of)
      expect(Object.keys(rows).length).toBeGreaterThan(37)
      expect(await notRefused(rows)).toEqual([])
    },
    A_TABLE_MS,
  )

  it('G13: A verified identity that ACCESS_ROLES does not name is answered 403 role_required', async () => {
    await newTeam()
    const custom = (given: unknown) => assertionOf(personClaims({ email: 'x@example.com', custom: given }))
    const rows: Rows = {
      'another person': await assertionOf(personClaims({ email: 'x@example.com' })),
      'the address in upper case': await assertionOf(personClaims({ email: 'OWNER@EXAMPLE.COM' })),
      'the domain in upper case': await assertionOf(personClaims({ email: 'owner@Example.com' })),
      'the first letter in upper case': await assertionOf(personClaims({ email: 'Owner@example.com' })),
      'a tag in the address': await assertionOf(personClaims({ email: 'owner+x@example.com' })),
      'a domain with a dot at its end': await assertionOf(personClaims({ email: 'owner@example.com.' })),
      'a person with the name of a service token': await assertionOf(personClaims({ email: `${SERVICE}@x.y` })),
      'another service token': await assertionOf(serviceClaims({ common_name: 'other.access' })),
      'a service token with the address of a person': await assertionOf(
        serviceClaims({ common_name: 'owner@example.com' }),
      ),
      'the service token in upper case': await assertionOf(serviceClaims({ common_name: SERVICE.toUpperCase() })),
      'a custom claim with another value': await custom({ groups: 'turn-admin' }),
      'a custom claim in upper case': await custom({ Groups: 'turn-admins' }),
      'a custom claim that is an object': await custom({ groups: { 'turn-admins': true } }),
      'a custom claim in a list of a list': await custom({ groups: [['turn-admins']] }),
      'a custom claim in a text with others': await custom({ groups: 'a,turn-admins' }),
      'custom claims as text': await custom('{"groups":"turn-admins"}'),
      'custom claims as a list': await custom(['groups', 'turn-admins']),
      'custom claims null': await custom(null),
      'the claim outside custom': await assertionOf(personClaims({ email: 'x@example.com', groups: 'turn-admins' })),
    }
    expect(await notAnswered('403 role_required', rows)).toEqual([])
    const { reached, ...objects } = countedObjects()
    const edge = await newAccessBroker(objects)
    for (const assertion of Object.values(rows)) expectStatus(await through(edge, assertion), 403)
    expect(reached.count, 'refused at the edge').toBe(0)
  })

  it('G13: Names of the prototype are no claims, also where ACCESS_ROLES asks for them', async () => {
    await newTeam()
    const roles = ['__proto__', 'constructor', 'toString', 'length', '0'].map((claim) => ({
      custom: { claim, value: 'x' },
      role: 'owner',
    }))
    const broker = await newAccessBroker({ ACCESS_ROLES: JSON.stringify(roles) })
    for (const given of ['{}', '[]', '["x"]', '"x"', 'null', '{"groups":"x"}', '{"__proto__":{"0":"x"}}', '0']) {
      const text = asText(personClaims()).replace('{', `{"custom":${given},`)
      const answer = await through(broker, await assertionOf(text))
      expect(outcomeOf(answer), `${given}: ${shown(answer)}`).toBe('403 role_required')
    }
  })
})
