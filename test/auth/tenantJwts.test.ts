/** A tenant's own users at the browser door with the JWTs of their identity provider, which is a library's. */
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { describe, expect, it } from 'vitest'
import { JWT_ALGORITHMS } from '../../src/contract/policy/issuers.ts'
import { expectStatus, newBroker } from '../support/broker/broker.ts'
import { MINUTE_MS, passTime } from '../support/broker/clock.ts'
import { APP, askIceServers, auditOf, expectProblem, postForm, served } from '../support/broker/doors.ts'
import { countAsked } from '../support/broker/upstream.ts'
import { AUDIENCE, ISSUER, jwtOf, newTrust } from '../support/secrets/idp.ts'

const IDP = 'https://idp.test.example'

/** What the provider says of itself: all that a tenant has to know of it. */
async function discovered() {
  const metadata = await fetch(`${IDP}/.well-known/openid-configuration`)
  const { issuer, jwks_uri, token_endpoint } = await metadata.json<Record<string, string>>()
  return { issuer, jwksUrl: String(jwks_uri), tokenUrl: String(token_endpoint) }
}

async function login(tokenUrl: string, username: string, aud = AUDIENCE): Promise<string> {
  const body = new URLSearchParams({ grant_type: 'password', username, password: 'x', aud })
  const answer = await fetch(tokenUrl, { method: 'POST', body })
  const { access_token } = await answer.json<{ access_token: string }>()
  return access_token
}

async function newRealTrust() {
  const { issuer, jwksUrl, tokenUrl } = await discovered()
  const broker = newBroker()
  const issuers = [{ issuer, jwksUrl, audience: AUDIENCE, algorithms: ['RS256', 'ES256'] }]
  const acme = await served(broker, 'acme', { policy: { issuers } })
  return { broker, acme, jwksUrl, login: (username: string, aud?: string) => login(tokenUrl, username, aud) }
}

const kidsOf = async (jwksUrl: string): Promise<string[]> => {
  const { keys } = await (await fetch(jwksUrl)).json<{ keys: { kid: string }[] }>()
  return keys.map(({ kid }) => kid)
}

const kidOf = (token: string): string =>
  JSON.parse(new TextDecoder().decode(Uint8Array.fromBase64(token.split('.')[0] ?? '', { alphabet: 'base64url' }))).kid

describe("a tenant's own JWTs", () => {
  it("A tenant's own JWTs are good for ICE servers as the identity provider gives them out, in a header or a simple form", async () => {
    const { broker, acme, login } = await newRealTrust()
    const token = await login('ann')
    const minted = await askIceServers(broker, 'acme', token, { origin: APP, body: { ttl: 600 } })
    expectStatus(minted, 201)
    expect(minted.headers.get('access-control-allow-origin')).toBe(APP)
    expect(minted.json.source).toBe('minted')

    const again = await postForm(broker, 'acme', { access_token: token, ttl: '600' }, { origin: APP })
    expectStatus(again, 201)
    expect(again.json.source, 'reused for the same user').toBe('reused')
    expect(again.json.iceServers).toEqual(minted.json.iceServers)

    const other = await askIceServers(broker, 'acme', await login('ben'), { origin: APP, body: { ttl: 600 } })
    expect(other.json?.source, 'another user, another credential').toBe('minted')
    expect(await countAsked('generate-ice-servers')).toBe(2)

    const search = await broker.call('POST', '/v1/tenants/acme/subjects/search', acme.token, { subject: 'ann' })
    expectStatus(search, 200)
    const issuing = (await auditOf(broker, 'acme')).filter(({ actor }) => actor === `tenant-jwt:${IDP}`)
    expect(issuing.length, 'the audit names the issuer').toBeGreaterThan(0)

    expectProblem(await askIceServers(broker, 'acme', await login('ann', 'another app')), 'invalid_token')
    expectProblem(await askIceServers(broker, 'acme', token, { origin: 'https://evil.example' }), 'origin_not_allowed')
  })

  it("A tenant's own JWTs signed with a key that the provider has only just taken into use are good after the cool-down", async () => {
    const { broker, login, jwksUrl } = await newRealTrust()
    const old = await login('ann')
    expectStatus(await askIceServers(broker, 'acme', old), 201)

    const known = await kidsOf(jwksUrl)
    await fetch(`${IDP}/test/keys`, { method: 'POST' })
    let token = await login('ben')
    // The provider takes its keys in turn.
    for (let turn = 0; known.includes(kidOf(token)) && turn < 10; turn++) token = await login('ben')
    expectProblem(await askIceServers(broker, 'acme', token), 'invalid_token')
    passTime(MINUTE_MS)
    expectStatus(await askIceServers(broker, 'acme', token), 201)
    expectStatus(await askIceServers(broker, 'acme', old), 201)
  })

  it("A tenant's own JWTs may be signed with every algorithm that the policy may name", async () => {
    const broker = newBroker()
    const keys = await Promise.all(JWT_ALGORITHMS.map(async (alg) => ({ alg, ...(await generateKeyPair(alg)) })))
    const jwks = {
      keys: await Promise.all(keys.map(async (key) => ({ ...(await exportJWK(key.publicKey)), kid: key.alg }))),
    }
    const issuers = [{ issuer: ISSUER, audience: AUDIENCE, jwks, algorithms: JWT_ALGORITHMS }]
    await served(broker, 'acme', { policy: { issuers } })
    for (const { alg, privateKey } of keys) {
      const token = new SignJWT({ sub: 'alice' }).setProtectedHeader({ alg, kid: alg, typ: 'at+jwt' })
      const times = token.setIssuer(ISSUER).setAudience([AUDIENCE, 'more']).setIssuedAt().setExpirationTime('1 h')
      const answer = await askIceServers(broker, 'acme', await times.sign(privateKey))
      expect(answer.status, `${alg}: ${answer.text}`).toBe(201)
    }
  })

  it("A tenant's own JWTs give the subject from the claim that the policy names, and give no longer life than the policy", async () => {
    const { broker, key, acme } = await newTrust({ subjectClaim: 'https://acme.example/user:id' })
    const token = await jwtOf(key, { 'https://acme.example/user:id': 'u-17', ttl: 172_800, cttl: 172_800 })
    const tooLong = await askIceServers(broker, 'acme', token, { body: { ttl: 14_401 } })
    expectProblem(tooLong, 'ttl_too_long')
    const answer = await askIceServers(broker, 'acme', token)
    expect(answer.json?.ttl, answer.text).toBe(3_600)
    const found = async (subject: string) =>
      (await broker.call('POST', '/v1/tenants/acme/subjects/search', acme.token, { subject })).status
    expect([await found('u-17'), await found('alice')]).toEqual([200, 404])
  })
})
