/** A tenant's own users at the browser door, with the JWTs of their identity provider. */
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { describe, expect, it } from 'vitest'
import { newBroker, newTenant, newTurnKey } from './support/broker.ts'

const ISSUER = 'https://idp.example'
const AUDIENCE = 'calls'

describe("a tenant's own JWTs", () => {
  it('are good for ICE servers, until the issuer leaves the policy', async () => {
    const { publicKey, privateKey } = await generateKeyPair('ES256')
    const jwks = { keys: [{ ...(await exportJWK(publicKey)), kid: 'a' }] }
    const issuers = [{ issuer: ISSUER, audience: AUDIENCE, jwks, algorithms: ['ES256'] }]
    const broker = newBroker()
    const acme = await newTenant(broker, 'acme', { scopes: ['turn_keys:write'], policy: { issuers } })
    await newTurnKey(broker, acme)
    const token = await new SignJWT({ sub: 'alice' })
      .setProtectedHeader({ alg: 'ES256', kid: 'a' })
      .setIssuer(ISSUER)
      .setAudience(AUDIENCE)
      .setIssuedAt()
      .setExpirationTime('10 minutes')
      .sign(privateKey)
    const ask = () => broker.call('POST', '/v1/tenants/acme/ice-servers', token)
    const answer = await ask()
    expect(answer.status, answer.text).toBe(201)

    const taken = await broker.admin('POST', '/tenants', { id: 'thief', name: 'Thief', region: 'weur', policy: { issuers } })
    expect(taken.json?.code, taken.text).toBe('conflict')

    const removed = await broker.admin('PATCH', '/tenants/acme', { policy: { issuers: null } })
    expect(removed.status, removed.text).toBe(200)
    expect((await ask()).status).toBe(401)
  })
})
