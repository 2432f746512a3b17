/** The browser door's row of the access table: whose client token opens it, and what a client token opens. */
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { base64url } from '../../src/crypto/encoding.ts'
import { type Broker, expectStatus, newBroker, newToken } from '../support/broker/broker.ts'
import { MINUTE_MS, passTime } from '../support/broker/clock.ts'
import { outcomeOf, shown } from '../support/broker/contract.ts'
import { APP, askIceServers, clientToken, corsHeaders, postForm, preflight } from '../support/broker/doors.ts'
import { asker, expectUnchanged, refusal, rowOf, stateOf } from '../support/contract/accessRows.ts'
import { furnishAll, furnishDeleted, NOBODYS, routes } from '../support/contract/callers.ts'
import { AUDIENCE, HEADER, ISSUER, ringOf, sign } from '../support/secrets/forger.ts'
import { tenantObjects } from '../support/storage/storage.ts'

/** A ring of root keys that is not the broker's. */
const OTHER_RING = ringOf(`k1:${btoa('x'.repeat(32))}`)

/** A token as the broker of those root keys would sign it for that tenant; of ours by default. */
function signed(tenant: string, ati: string, changes: object = {}, ring = ringOf(env.ROOT_KEYS)): Promise<string> {
  const now = Math.floor(Date.now() / 1_000)
  const aud = AUDIENCE.replace('acme', tenant)
  const claims = { ati, iss: ISSUER, aud, sub: 'ann', iat: now, exp: now + 600, jti: 'abcdefghijklmnop', ...changes }
  return sign(claims, HEADER, { tenant, ring })
}

type Knock = { readonly who: string; readonly tenant: string; readonly token: string | undefined }

/** Everybody who must find the door of a tenant closed. Moves the clock. */
async function strangers(broker: Broker): Promise<Knock[]> {
  const gone = await furnishDeleted(broker, 'gone')
  const acme = await furnishAll(broker, 'acme')
  const other = await furnishAll(broker, 'other')
  const leaving = await furnishAll(broker, 'leaving')
  const tokenOf = (maker: { token: string }, input = {}) =>
    clientToken(broker, { ...acme, uid: acme.keyId, ...maker }, { ttl: 3_600, ...input })
  const deleted = await newToken(broker, 'acme', ['client_tokens:create'])
  const ofDeleted = await tokenOf(deleted)
  expectStatus(await broker.admin('DELETE', `/tenants/acme/api-tokens/${deleted.tokenId}`), 204)
  const in30s = new Date(Date.now() + 30_000).toISOString()
  const ofExpired = await tokenOf(await newToken(broker, 'acme', ['client_tokens:create'], in30s))
  const expired = await tokenOf(acme, { ttl: 30 })
  passTime(MINUTE_MS)
  expectStatus(await broker.admin('DELETE', '/tenants/leaving?cascade=true'), 202)

  const at = (tenant: string) => (who: string, token: string | undefined) => ({ who, tenant, token })
  const atAcme = at('acme')
  const atNever = at('never-was')
  const [header, payload] = acme.clientToken.split('.')
  return [
    atAcme('nobody', undefined),
    atAcme('junk', 'junk'),
    atAcme('an API token with every scope', acme.token),
    atAcme('an operator', env.ADMIN_TOKEN),
    atAcme("the account's own token", env.CALLS_API_TOKEN),
    atAcme('a client token of another tenant', other.clientToken),
    atAcme(
      "another tenant's key, with claims of this one",
      await sign(claimsIn(acme.clientToken), HEADER, { tenant: 'other' }),
    ),
    atAcme('a client token of a deleted API token', ofDeleted),
    atAcme('a client token of an API token that has expired', ofExpired),
    atAcme("a client token of another tenant's API token", await signed('acme', other.tokenId)),
    atAcme('a client token that has expired', expired),
    atAcme('a client token of other root keys', await signed('acme', acme.tokenId, {}, OTHER_RING)),
    atAcme('a client token of another deployment', await signed('acme', acme.tokenId, { iss: 'turn-broker:other' })),
    atAcme('a client token without its signature', `${header}.${payload}.`),
    atAcme(
      'a client token whose algorithm is none',
      `${base64url(new TextEncoder().encode('{"alg":"none"}'))}.${payload}.`,
    ),
    at('leaving')('a client token of a tenant that is being deleted', leaving.clientToken),
    at('gone')('a client token of a tenant that was deleted', gone.clientToken),
    at('gone')('a new one of a tenant that was deleted', await signed('gone', gone.tokenId)),
    atNever('a client token of a tenant, at one that never was', acme.clientToken),
    atNever('one forged for a tenant that never was', await signed('never-was', acme.tokenId, {}, OTHER_RING)),
  ]
}

const claimsIn = (token: string): unknown => JSON.parse(atob(String(token.split('.')[1])))

describe('the browser door', () => {
  it('The browser door is closed to everybody without a client token of the tenant, whichever way it comes', async () => {
    const broker = newBroker()
    const knocks = await strangers(broker)
    const before = await stateOf(broker)
    const wrong: string[] = []
    for (const { who, tenant, token } of knocks) {
      for (const [how, answer] of [
        ['in the header', await askIceServers(broker, tenant, token)],
        ['from a page', await askIceServers(broker, tenant, token, { origin: APP })],
        ['in a form', await postForm(broker, tenant, token === undefined ? {} : { access_token: token })],
        ['where nothing is remembered', await askIceServers(newBroker(), tenant, token)],
      ] as const) {
        if (outcomeOf(answer) !== '401 invalid_token') wrong.push(`${who}, ${how}: ${shown(answer)}`)
      }
    }
    expect(wrong).toEqual([])
    await expectUnchanged(broker, before)
  })

  it('The browser door tells only a suspended tenant’s own page that the tenant is suspended', async () => {
    const broker = newBroker()
    const acme = await furnishAll(broker, 'acme')
    const other = await furnishAll(broker, 'other')
    expectStatus(await broker.admin('PATCH', '/tenants/acme', { status: 'suspended' }), 200)
    const own = await askIceServers(broker, 'acme', acme.clientToken)
    expect(outcomeOf(own), shown(own)).toBe('403 tenant_suspended')
    for (const token of [other.clientToken, acme.token, env.ADMIN_TOKEN, undefined]) {
      const answer = await askIceServers(broker, 'acme', token)
      expect(outcomeOf(answer), shown(answer)).toBe('401 invalid_token')
    }
  })

  it('The browser door is the only one that a client token opens', async () => {
    const broker = newBroker()
    const acme = await furnishAll(broker, 'acme')
    const before = await stateOf(broker)
    const { ask, wrong } = asker(broker)
    for (const entry of routes.filter(([, { access }]) => access !== 'public' && access !== 'client-token')) {
      const authorization = `Bearer ${acme.clientToken}`
      await ask(entry, { who: 'a client token', authorization, things: acme, expected: refusal(entry[1]) })
    }
    expect(wrong).toEqual([])
    await expectUnchanged(broker, before)
  })

  it('The browser door answers preflights to the origins of the policy, to no other, and creates no object for them', async () => {
    const broker = newBroker()
    await furnishDeleted(broker, 'gone')
    const acme = await furnishAll(broker, 'acme')
    const expected = rowOf('iceServersPreflight').right
    const objects = await tenantObjects()
    for (const edge of [broker, newBroker()]) {
      const right = await preflight(edge, acme.tenant, APP, { authorization: 'Bearer junk' })
      expect(right.status, shown(right)).toBe(expected)
      for (const [tenant, origin] of [
        ['acme', 'https://evil.test'],
        ['acme', undefined],
        ['gone', APP],
        [NOBODYS.tenant, APP],
        [NOBODYS.tenant, undefined],
      ] as const) {
        const answer = await preflight(edge, tenant, origin)
        expect(outcomeOf(answer), shown(answer)).toBe('403 origin_not_allowed')
        expect(corsHeaders(answer)).toEqual([])
      }
    }
    expect(await tenantObjects()).toEqual(objects)
  })
})
