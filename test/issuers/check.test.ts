/** An operator checks a token: every rule by which the browser door decides, with what the token says, and nothing is issued. */
import { env } from 'cloudflare:workers'
import { describe, expect, it, vi } from 'vitest'
import type { CheckedEntry, IssuerCheckAnswer } from '../../src/contract/resources/issuerCheck.ts'
import { type Broker, expectStatus, newBroker } from '../support/broker/broker.ts'
import { MINUTE_MS, passTime } from '../support/broker/clock.ts'
import { askIceServers, auditOf, expectProblem, served } from '../support/broker/doors.ts'
import { countAsked } from '../support/broker/upstream.ts'
import { ISSUER, issuerAt, jwtOf, newKey, playedProvider, rightClaims, signed } from '../support/secrets/idp.ts'

const [key, foreign] = [await newKey('good'), await newKey('good')]

const check = (broker: Broker, token: string) => broker.admin('POST', '/tenants/acme/issuers/check', { token })

async function checked(broker: Broker, token: string): Promise<IssuerCheckAnswer> {
  const answer = await check(broker, token)
  expectStatus(answer, 200)
  return answer.json
}

/** A tenant with one provider, unless other entries are asked. */
async function acme(...issuers: object[]) {
  const broker = newBroker()
  const all = issuers.length > 0 ? issuers : [issuerAt({ keys: [key] }, { requiredClaims: { role: 'caller' } })]
  await served(broker, 'acme', { policy: { issuers: all } })
  passTime(2 * MINUTE_MS)
  return broker
}

const broken = ({ rules }: CheckedEntry) => rules.filter(({ passes }) => !passes).map(({ reason }) => reason)
const seenBy = ({ rules }: CheckedEntry, name: string) => rules.find(({ rule }) => rule === name)?.seen

const good = (changes: object = {}) => jwtOf(key, { role: 'caller', ...changes })
const BROKEN: Record<string, { token: () => Promise<string>; reasons: string[]; seen: [string, string | null] }> = {
  'of another audience': {
    token: () => good({ aud: ['account', 'other'] }),
    reasons: ['audience_foreign'],
    seen: ['recipient', '{"aud":["account","other"]}'],
  },
  'that has expired': {
    token: () => good({ iat: 1_000, exp: 2_000 }),
    reasons: ['expired'],
    seen: ['exp', '2000'],
  },
  'that lives too long': {
    token: () => good({ exp: Number(rightClaims().iat) + 86_401 }),
    reasons: ['lifetime_too_long'],
    seen: ['signature', null],
  },
  'without a required claim, and with a number as its subject': {
    token: () => good({ role: undefined, sub: 7 }),
    reasons: ['claim_missing', 'subject_malformed'],
    seen: ['subject', '7'],
  },
  'signed by somebody else': {
    token: () => jwtOf(foreign, { role: 'caller' }),
    reasons: ['signature_invalid'],
    seen: ['key', '{"kid":"good","kty":"EC"}'],
  },
  'of an unknown key': {
    token: async () => jwtOf({ ...foreign, kid: 'other' }, { role: 'caller' }),
    reasons: ['key_unknown'],
    seen: ['key', '{"kid":"other"}'],
  },
  'whose issuer lacks the slash at its end': {
    token: () => good({ iss: ISSUER.slice(0, -1) }),
    reasons: ['issuer_slash'],
    seen: ['issuer', '"https://login.example"'],
  },
  'whose header brings a key': {
    token: () =>
      signed(key, { ...rightClaims(), role: 'caller' }, { alg: 'ES256', kid: 'good', jku: 'https://a.example' }),
    reasons: ['header_forbidden'],
    seen: ['header', '["jku"]'],
  },
  'with a very long claim': {
    token: () => good({ iss: 'i'.repeat(500) }),
    reasons: ['issuer_unknown'],
    seen: ['issuer', `"${'i'.repeat(199)}…`],
  },
}

describe('the check of a token', () => {
  it('The check of a token that is good names its subject and passes every rule, and the door agrees', async () => {
    const broker = await acme()
    const token = await good({ sub: 'ann' })
    const answer = await checked(broker, token)
    expect(answer).toMatchObject({ accepted: true, subject: 'ann', others: [] })
    expect(answer.checked).toMatchObject({ entry: 0, keySetProblem: null })
    expect(broken(answer.checked)).toEqual([])
    const rules = answer.checked.rules.map(({ rule }) => rule)
    for (const rule of ['form', 'typ', 'issuer', 'recipient', 'exp', 'requiredClaims', 'subject', 'key', 'signature'])
      expect(rules).toContain(rule)
    expect(seenBy(answer.checked, 'subject')).toBe('"ann"')
    expectStatus(await askIceServers(broker, 'acme', token), 201)
  })

  it.each(Object.entries(BROKEN))('The check of a token %s says so, and the door refuses it', async (_, row) => {
    const broker = await acme()
    const token = await row.token()
    const answer = await checked(broker, token)
    expect(answer).toMatchObject({ accepted: false, subject: null })
    expect(broken(answer.checked)).toEqual(row.reasons)
    expect(seenBy(answer.checked, row.seen[0])).toBe(row.seen[1])
    expectProblem(await askIceServers(broker, 'acme', token), 'invalid_token')
  })

  it('The check of what is no JWT, or too long for one, says that', async () => {
    const broker = await acme()
    for (const [token, reason] of [
      ['junk', 'not_a_jws'],
      ['a.'.repeat(8_200), 'too_long'],
    ] as const) {
      const answer = await checked(broker, token)
      expect(answer).toMatchObject({ accepted: false, checked: { entry: null }, others: [] })
      expect(broken(answer.checked)).toEqual([reason])
    }
    expectProblem(await check(broker, 'x'.repeat(33_000)), 'too_large')
    expect(broken((await checked(await acmeWithout(), await good())).checked)).toEqual(['issuer_unknown'])
  })

  it('The check shows the entry that counts, and every other one of the issuer', async () => {
    const broker = await acme(
      issuerAt({ keys: [foreign] }, { audience: 'first' }),
      issuerAt({ keys: [key] }, { audience: 'second' }),
      issuerAt({ keys: [key] }, { issuer: 'https://elsewhere.example', audience: 'second' }),
    )
    const answer = await checked(broker, await jwtOf(key, { aud: 'second' }))
    expect(answer).toMatchObject({ accepted: true, checked: { entry: 1 }, others: [{ entry: 0 }] })
    expect(answer.others.map(broken)).toEqual([['audience_foreign', 'signature_invalid']])
  })

  it('The check asks the provider now, and says why its key set cannot be had', async () => {
    const provider = playedProvider()
    await provider.serves(key.jwk)
    const broker = await acme(issuerAt(provider))
    await provider.answers({ status: 503 })
    const answer = await checked(broker, await good())
    expect(broken(answer.checked)).toEqual(['key_set_unavailable'])
    expect(answer.checked.keySetProblem).toBe('The key set could not be fetched: status 503.')
    await provider.serves(key.jwk)
    expect((await checked(broker, await good())).accepted).toBe(true)
  })

  it('The check works for a suspended tenant, issues nothing, and leaves one audit row without anything of the token', async () => {
    const broker = await acme()
    expectStatus(await broker.admin('PATCH', '/tenants/acme', { status: 'suspended' }), 200)
    const before = await broker.admin('GET', '/tenants/acme')
    const logged = vi.spyOn(console, 'log').mockImplementation(() => undefined)
    const token = await good({ sub: 'Somebody Personal' })
    const answer = await check(broker, token)
    const lines = logged.mock.calls.flat().join('\n')
    logged.mockRestore()
    expect(answer.json).toMatchObject({ accepted: true, subject: 'Somebody Personal' })
    for (const secret of [token, ...token.split('.')]) expect(answer.text).not.toContain(secret)
    const [row, ...others] = await auditOf(broker, 'acme', '&action=issuer.check')
    expect(others).toEqual([])
    expect(row).toMatchObject({ actor: 'admin:token', outcome: 'done', target: null, subjectId: null, code: null })
    for (const text of [JSON.stringify(row), lines]) {
      expect(text).not.toContain('Somebody')
      expect(text).not.toContain(token.slice(-40))
    }
    expect((await broker.admin('GET', '/tenants/acme')).text).toBe(before.text)
    expect(await countAsked('generate-ice-servers')).toBe(0)
  })

  it("The check is the operators' alone", async () => {
    const broker = await acme()
    const { token } = await newTokenOf(broker)
    expectProblem(
      await broker.call('POST', '/v1/admin/tenants/acme/issuers/check', token, { token: 'x' }),
      'invalid_token',
    )
    expectProblem(await broker.admin('POST', '/tenants/nobody/issuers/check', { token: 'x' }), 'not_found')
  })
})

async function acmeWithout(): Promise<Broker> {
  const broker = newBroker()
  expectStatus(await broker.admin('PATCH', '/tenants/acme', { policy: { issuers: null } }), 200)
  return broker
}

async function newTokenOf(broker: Broker): Promise<{ token: string }> {
  const body = { name: 'all', scopes: ['tenant:read', 'audit:read', 'turn_keys:write'] }
  const answer = await broker.call('POST', '/v1/admin/tenants/acme/api-tokens', env.ADMIN_TOKEN, body)
  expectStatus(answer, 201)
  return answer.json
}
