/** For whom a JWT is: one of several audiences, or a client. G3: at which of two tenants a token is valid. */
import { describe, expect, it } from 'vitest'
import { expectStatus, newBroker } from '../../support/broker/broker.ts'
import { MINUTE_MS, passTime } from '../../support/broker/clock.ts'
import { askIceServers, expectProblem, served } from '../../support/broker/doors.ts'
import type { Rows } from '../../support/secrets/forger.ts'
import { issuerAt, jwtOf, newKey, newTrust, notAccepted, notRefused } from '../../support/secrets/idp.ts'

const AZP = { claim: 'azp', value: 'web' }
const byClient = (client: object = AZP, more: object = {}) => ({ audience: undefined, client, ...more })
const key = await newKey('good')

/** Two tenants that trust one issuer, each with entries of its own. */
async function twoTenants(acme: object, globex: object) {
  const broker = newBroker()
  await served(broker, 'acme', { policy: { issuers: [issuerAt({ keys: [key] }, acme)] } })
  await served(broker, 'globex', { policy: { issuers: [issuerAt({ keys: [key] }, globex)] } })
  passTime(2 * MINUTE_MS)
  const at = async (tenant: string, claims: object) =>
    (await askIceServers(broker, tenant, await jwtOf(key, claims))).status
  return async (claims: object) => [await at('acme', claims), await at('globex', claims)]
}

describe('G3: a JWT of an issuer that two tenants trust', () => {
  it('G3: A JWT of an issuer that two tenants trust, one by client and one by audience, is valid at one of them', async () => {
    const answers = await twoTenants(byClient(), { audience: 'globex' })
    expect(await answers({ aud: 'globex', azp: 'web' }), 'it is for globex').toEqual([401, 201])
    expect(await answers({ aud: undefined, azp: 'web' }), 'it is of the client of acme').toEqual([201, 401])
    expect(await answers({ aud: 'other', azp: 'web' })).toEqual([401, 401])
  })

  it('G3: A JWT of an issuer that two tenants trust by client is valid at the one with its client', async () => {
    const answers = await twoTenants(byClient(), byClient({ claim: 'azp', value: 'app' }))
    expect(await answers({ aud: undefined, azp: 'web', client_id: 'app' })).toEqual([201, 401])
    expect(await answers({ aud: undefined, azp: 'app', client_id: 'web' })).toEqual([401, 201])
  })

  it('A JWT of an issuer that two tenants trust is valid at both if its audience names both', async () => {
    const answers = await twoTenants({ audience: 'acme' }, { audience: 'globex' })
    expect(await answers({ aud: ['acme', 'globex'] })).toEqual([201, 201])
  })

  it('A JWT of an issuer that two tenants trust is valid at both if one ignores its audience and it is for the other', async () => {
    const answers = await twoTenants(byClient(AZP, { ignoreAudience: true }), { audience: 'globex' })
    expect(await answers({ aud: 'globex', azp: 'web' })).toEqual([201, 201])
    expect(await answers({ aud: 'other', azp: 'web' })).toEqual([201, 401])
    expect(await answers({ aud: 'globex', azp: 'app' })).toEqual([401, 201])
  })
})

describe('the audience of an issuer', () => {
  it('The audience of an issuer may be any of a list', async () => {
    const { broker, key } = await newTrust({ audience: ['web', 'ios'] })
    const good: Rows = {}
    const bad: Rows = {}
    for (const aud of ['web', 'ios', ['ios'], ['other', 'web']]) good[JSON.stringify(aud)] = await jwtOf(key, { aud })
    for (const aud of ['calls', 'web ios', 'WEB', [], ['web', 1], ['web', null], { 0: 'web' }, ''])
      bad[JSON.stringify(aud)] = await jwtOf(key, { aud })
    expect(await notAccepted(broker, good)).toEqual([])
    expect(await notRefused(broker, bad)).toEqual([])
  })

  it('The audience of an issuer that is taken out of the list counts no more, at once', async () => {
    const { broker, key, provider } = await newTrust({ audience: ['web', 'ios'] })
    const token = await jwtOf(key, { aud: 'ios' })
    expectStatus(await askIceServers(broker, 'acme', token), 201)
    const issuers = [issuerAt(provider, { audience: ['web'] })]
    expectStatus(await broker.admin('PATCH', '/tenants/acme', { policy: { issuers } }), 200)
    expectProblem(await askIceServers(broker, 'acme', token), 'invalid_token')
    expectStatus(await askIceServers(broker, 'acme', await jwtOf(key, { aud: 'web' })), 201)
  })
})

describe('the client of an issuer', () => {
  it('The client of an issuer is for tokens without an audience, and is compared as text', async () => {
    const { broker, key } = await newTrust(byClient())
    const good: Rows = {}
    const bad: Rows = {
      'no client': await jwtOf(key, { aud: undefined }),
      'in the prototype': await jwtOf(key, { aud: undefined, ['__proto__']: { azp: 'web' } }),
    }
    for (const aud of [undefined, null, '', [], ['']])
      good[`aud ${JSON.stringify(aud)}`] = await jwtOf(key, { aud, azp: 'web' })
    for (const azp of ['Web', 'web ', '', ['web'], { web: 1 }, null, true])
      bad[`azp ${JSON.stringify(azp)}`] = await jwtOf(key, { aud: undefined, azp })
    for (const aud of ['calls', ['calls'], ['', 'x'], [1], [[]], {}, 0, false])
      bad[`aud ${JSON.stringify(aud)}`] = await jwtOf(key, { aud, azp: 'web' })
    expect(await notAccepted(broker, good)).toEqual([])
    expect(await notRefused(broker, bad)).toEqual([])
  })

  it('The client of an issuer is for tokens with any audience where the entry ignores it', async () => {
    const { broker, key } = await newTrust(byClient(AZP, { ignoreAudience: true }))
    const good: Rows = {}
    for (const aud of [undefined, 'account', ['account', 'x'], []])
      good[JSON.stringify(aud)] = await jwtOf(key, { aud, azp: 'web' })
    expect(await notAccepted(broker, good)).toEqual([])
    const bad = {
      'another client': await jwtOf(key, { aud: 'account', azp: 'x' }),
      'an audience of another form': await jwtOf(key, { aud: ['account', 1], azp: 'web' }),
    }
    expect(await notRefused(broker, bad)).toEqual([])
  })

  it('The client of an issuer is tried after the audiences, whatever the order of the entries', async () => {
    const provider = { keys: [key] }
    const client = issuerAt(provider, byClient(AZP, { requiredClaims: { role: 'a' } }))
    const broker = newBroker()
    const issuers = [client, issuerAt(provider, { requiredClaims: { role: 'b' } })]
    await served(broker, 'acme', { policy: { issuers } })
    const good = {
      'by its audience': await jwtOf(key, { azp: 'web', role: 'b' }),
      'by its client': await jwtOf(key, { aud: undefined, azp: 'web', role: 'a' }),
    }
    expect(await notAccepted(broker, good)).toEqual([])
    const bad = { 'with the claims of the other entry': await jwtOf(key, { azp: 'web', role: 'a' }) }
    expect(await notRefused(broker, bad)).toEqual([])
  })

  it('G6: The client of an issuer that is removed from the policy counts no more, at once', async () => {
    const { broker, key, provider } = await newTrust(byClient())
    const token = await jwtOf(key, { aud: undefined, azp: 'web' })
    expectStatus(await askIceServers(broker, 'acme', token), 201)
    const issuers = [issuerAt(provider, byClient({ claim: 'azp', value: 'app' }))]
    expectStatus(await broker.admin('PATCH', '/tenants/acme', { policy: { issuers } }), 200)
    expectProblem(await askIceServers(broker, 'acme', token), 'invalid_token')
  })
})
