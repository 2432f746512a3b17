/** A policy with a key set that verifies no token is stored, and the answer warns about it. */
import { describe, expect, it } from 'vitest'
import { expectStatus, newBroker, newTenant } from '../support/broker/broker.ts'
import { shown } from '../support/broker/contract.ts'
import { issuerAt, newKey, playedIssuer, playedProvider } from '../support/secrets/idp.ts'

const [key, rsa] = [await newKey('good'), await newKey('rsa', 'RS256')]
const CERTIFICATE = '-----BEGIN CERTIFICATE-----\nMIIDHDCCAgSgAwIBAgII\n-----END CERTIFICATE-----\n'
const body = (json: unknown) => ({ body: JSON.stringify(json) })

const UNUSABLE: Record<string, { answers: object; says: string }> = {
  'is not there': { answers: { status: 404 }, says: 'could not be fetched: status 404' },
  'is behind a log-in': { answers: { status: 401 }, says: 'could not be fetched: status 401' },
  'is moved': { answers: { status: 301 }, says: 'could not be fetched: status 301, and no redirect is followed' },
  'breaks off': { answers: { instead: 'reset' }, says: 'could not be fetched: no connection' },
  hangs: { answers: { instead: 'hang' }, says: 'could not be fetched: no answer in time' },
  'is HTML': { answers: { body: '<!doctype html>' }, says: 'could not be read as JSON: not-json' },
  'is empty': { answers: { body: '' }, says: 'could not be read as JSON: empty' },
  'is too large': { answers: { instead: 'flood' }, says: 'could not be read as JSON: too-large' },
  'is a discovery document': {
    answers: body({ issuer: 'https://login.example', jwks_uri: 'https://login.example/jwks' }),
    says: 'is no JWKS (RFC 7517), but a discovery document: use its jwks_uri',
  },
  'is a map of X.509 certificates, as Firebase has one beside its JWKS,': {
    answers: body({ '1f40f0a8ef3d880978dc82f25c3ec317c6a5b781': CERTIFICATE }),
    says: "is no JWKS (RFC 7517), but X.509 certificates: use the provider's JWKS",
  },
  'is a bare key': { answers: body(key.jwk), says: 'is no JWKS (RFC 7517)' },
  'is a list of keys without its object': { answers: body([key.jwk]), says: 'is no JWKS (RFC 7517)' },
  'has 51 keys': {
    answers: body({ keys: Array.from({ length: 51 }, () => key.jwk) }),
    says: 'is no JWKS (RFC 7517): keys must be a list of at most 50',
  },
  'has no keys': { answers: body({ keys: [] }), says: 'has no key that verifies ES256' },
  'has keys for other algorithms': { answers: body({ keys: [rsa.jwk] }), says: 'has no key that verifies ES256' },
  'has keys for encryption': {
    answers: body({ keys: [{ ...key.jwk, use: 'enc' }] }),
    says: 'has no key that verifies ES256',
  },
}

const warning = (index: number, says: string) => ({
  code: 'issuer_key_set_unusable',
  path: `policy.issuers.${index}`,
  detail: `The key set ${says}.`,
})

async function acme() {
  const broker = newBroker()
  await newTenant(broker, 'acme')
  const patch = (issuers: unknown) => broker.admin('PATCH', '/tenants/acme', { policy: { issuers } })
  return { broker, patch }
}

describe('a key set that verifies nothing', () => {
  it.each(Object.entries(UNUSABLE))(
    'A key set that %s is warned about in the answer, and the policy is stored',
    async (_, row) => {
      const { broker, patch } = await acme()
      const provider = playedProvider()
      await provider.answers(row.answers)
      const good = playedProvider()
      await good.serves(rsa.jwk, key.jwk)
      const answer = await patch([issuerAt(good), issuerAt(provider, { audience: 'b' })])
      expectStatus(answer, 200)
      expect(answer.json.warnings, shown(answer)).toEqual([warning(1, row.says)])
      const read = (await broker.admin('GET', '/tenants/acme')).json
      expect(read.policy.issuers).toEqual(answer.json.policy.issuers)
      expect(read.warnings).toBeUndefined()
    },
  )

  it('Keys in the policy itself that fit none of its algorithms are warned about; a good key set is not', async () => {
    const { patch } = await acme()
    const none = await patch([issuerAt({ keys: [key] }, { algorithms: ['RS256', 'PS256'] })])
    expect(none.json.warnings).toEqual([warning(0, 'has no key that verifies RS256 or PS256')])
    const provider = playedProvider()
    await provider.serves(key.jwk)
    for (const issuers of [[issuerAt({ keys: [key] })], [issuerAt(provider)], [], null]) {
      const answer = await patch(issuers)
      expectStatus(answer, 200)
      expect(answer.json).not.toHaveProperty('warnings')
    }
  })

  it('A key set that discovery found is looked at like any other', async () => {
    const { patch } = await acme()
    const it = playedIssuer()
    await it.leads()
    const answer = await patch([{ issuer: it.issuer, audience: 'calls', algorithms: ['ES256'] }])
    expect(answer.json.warnings, shown(answer)).toEqual([warning(0, 'could not be fetched: status 404')])
    expect(answer.json.policy.issuers[0].jwksUrl).toBe(it.keys.jwksUrl)
  })

  it('A creation warns too, and a repeat with its Idempotency-Key warns of the same, though all is well by then', async () => {
    const broker = newBroker()
    const provider = playedProvider()
    const tenant = { id: 'acme', name: 'A', region: 'weur', policy: { issuers: [issuerAt(provider)] } }
    const create = () => broker.admin('POST', '/tenants', tenant, { 'idempotency-key': 'one' })
    const first = await create()
    expectStatus(first, 201)
    expect(first.json.warnings).toEqual([warning(0, 'could not be fetched: status 404')])
    await provider.serves(key.jwk)
    expect((await create()).text).toBe(first.text)
  })

  it('Ten key sets that hang hold a change for 3 s, and an address that is named ten times is asked once', async () => {
    const { patch } = await acme()
    const providers = Array.from({ length: 10 }, () => playedProvider())
    await Promise.all(providers.map((provider) => provider.answers({ instead: 'hang' })))
    const begun = performance.now()
    const answer = await patch(providers.map((provider, n) => issuerAt(provider, { audience: `a${n}` })))
    expectStatus(answer, 200)
    expect(answer.json.warnings).toHaveLength(10)
    expect(answer.json.warnings[9].path).toBe('policy.issuers.9')
    expect(performance.now() - begun).toBeLessThan(6_000)

    const provider = playedProvider()
    await provider.serves(key.jwk)
    const same = await patch(Array.from({ length: 10 }, (_, n) => issuerAt(provider, { audience: `a${n}` })))
    expect(same.json).not.toHaveProperty('warnings')
    expect(await provider.asked()).toHaveLength(1)
  })
})
