/** Which assertions of Cloudflare Access open the admin door, where they must stand, and what the log says of the others. */
import { env } from 'cloudflare:workers'
import { describe, expect, it, vi } from 'vitest'
import { expectStatus, newBroker } from '../support/broker/broker.ts'
import { outcomeOf, shown } from '../support/broker/contract.ts'
import {
  AUD,
  assertionOf,
  HEADER,
  newAccessBroker,
  newTeam,
  notAnswered,
  OTHER_AUD,
  personClaims,
  SERVICE,
  serviceClaims,
  through,
  withoutClaim,
} from '../support/secrets/access.ts'
import type { Rows } from '../support/secrets/forger.ts'

describe('an assertion of Cloudflare Access', () => {
  it('G13: An assertion of Cloudflare Access as its documentation shows it opens the admin door', async () => {
    await newTeam()
    const now = Math.floor(Date.now() / 1_000) + 120
    const right: Rows = {
      'of a person': await assertionOf(personClaims()),
      'of a service token': await assertionOf(serviceClaims()),
      'with the audience as text': await assertionOf(personClaims({ aud: AUD })),
      'with the second audience': await assertionOf(personClaims({ aud: [OTHER_AUD] })),
      'with other audiences beside it': await assertionOf(personClaims({ aud: ['x', AUD] })),
      'without typ': await assertionOf(personClaims(), { alg: 'RS256', kid: HEADER.kid }),
      'with a new name in the header': await assertionOf(personClaims(), { ...HEADER, x: 1 }),
      'without nbf': await assertionOf(withoutClaim('nbf')),
      'with a role by a custom claim': await assertionOf(
        personClaims({ email: 'x@example.com', custom: { groups: 'turn-admins' } }),
      ),
      'with a role by one of several custom values': await assertionOf(
        personClaims({ email: 'x@example.com', custom: { groups: ['a', 'turn-admins'] } }),
      ),
      'expired for less than the skew': await assertionOf(
        personClaims({ iat: now - 99, nbf: now - 99, exp: now - 20 }),
      ),
      'issued by a clock that is ahead': await assertionOf(
        personClaims({ iat: now + 20, nbf: now + 20, exp: now + 600 }),
      ),
    }
    expect(await notAnswered('200', right)).toEqual([])
  })

  it('The log says why an assertion was refused, by a code and without a value', async () => {
    await newTeam()
    const broker = await newAccessBroker()
    const logged = vi.spyOn(console, 'log')
    const rows: Record<string, unknown> = {
      audience_foreign: personClaims({ aud: ['canary'] }),
      issuer_unknown: personClaims({ iss: 'https://canary.cloudflareaccess.com' }),
      expired: personClaims({ exp: 1 }),
      not_yet_valid: personClaims({ nbf: 9e9 }),
      issued_in_future: personClaims({ iat: 9e9 }),
      claim_differs: personClaims({ type: 'canary' }),
      subject_malformed: personClaims({ email: 'canary' }),
    }
    const reasonOf = async (assertion: string) => {
      const { headers } = await through(broker, assertion)
      const line = JSON.parse(String(logged.mock.lastCall))
      expect(line).toMatchObject({ event: 'request', status: 401, requestId: headers.get('x-request-id') })
      return line.reason
    }
    for (const [reason, claims] of Object.entries(rows)) expect(await reasonOf(await assertionOf(claims))).toBe(reason)
    expect(await reasonOf('canary')).toBe('not_a_jws')
    expect(await reasonOf(await assertionOf(personClaims(), { ...HEADER, kid: 'canary' }))).toBe('key_unknown')
    expect(await reasonOf((await assertionOf(personClaims())).slice(0, -2))).toBe('signature_invalid')
    expect(JSON.stringify(logged.mock.calls)).not.toContain('canary')
    vi.restoreAllMocks()
  })

  it('G13: An assertion counts in its header only, once, and not beside an Authorization header', async () => {
    await newTeam()
    const good = await assertionOf(personClaims())
    const broker = await newAccessBroker()
    const ask = (headers: [string, string][], query = '') =>
      broker.send(`/v1/admin/tenants${query}`, { headers: new Headers(headers) })
    const header = 'cf-access-jwt-assertion'
    const rows: Record<string, [string, string][]> = {
      'the cookie of Access': [['cookie', `CF_Authorization=${good}`]],
      'the cookie with the session of the application': [['cookie', `CF_AppSession=x; CF_Authorization=${good}`]],
      'a bearer': [['authorization', `Bearer ${good}`]],
      'the header that cloudflared sends': [['cf-access-token', good]],
      'the e-mail address alone': [['cf-access-authenticated-user-email', 'owner@example.com']],
      'credentials of a service token': [
        ['cf-access-client-id', SERVICE],
        ['cf-access-client-secret', 'x'.repeat(64)],
      ],
      'the header twice': [
        [header, good],
        [header, good],
      ],
      'a wrong bearer beside it': [
        [header, good],
        ['authorization', 'Bearer junk'],
      ],
    }
    for (const [name, headers] of Object.entries(rows)) {
      const answer = await ask(headers)
      expect(outcomeOf(answer), `${name}: ${shown(answer)}`).toBe('401 invalid_token')
    }
    const inQuery = await ask([], `?${header}=${good}&CF_Authorization=${good}`)
    expect(outcomeOf(inQuery), shown(inQuery)).toBe('401 invalid_token')
    const beside = await ask([
      [header, good],
      ['cookie', 'CF_Authorization=junk'],
    ])
    expectStatus(beside, 200)
    const token = await ask([
      [header, 'junk'],
      ['authorization', `Bearer ${env.ADMIN_TOKEN}`],
    ])
    expectStatus(token, 200)
  })

  it('G13: An assertion opens nothing where Cloudflare Access is not configured, and only ADMIN_HOST where that is set', async () => {
    const team = await newTeam()
    const good = await assertionOf(personClaims())
    const answer = await through(newBroker(), good)
    expect(outcomeOf(answer), shown(answer)).toBe('401 invalid_token')
    const bound = await newAccessBroker({ ADMIN_HOST: 'admin.broker.test' })
    const elsewhere = await through(bound, good)
    expect(outcomeOf(elsewhere), shown(elsewhere)).toBe('401 invalid_token')
    expect(await team.asked()).toEqual([])
    expectStatus(await through(bound, good, { path: 'https://admin.broker.test/v1/admin/tenants' }), 200)
  })
})
