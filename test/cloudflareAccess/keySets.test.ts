/** The keys of a team of Cloudflare Access: how often they are asked for, and what happens while they cannot be had. */
import { exportJWK } from 'jose'
import { describe, expect, it, vi } from 'vitest'
import type { PlayedAnswer } from '../node/support/playedAnswer.ts'
import { expectStatus } from '../support/broker/broker.ts'
import { HOUR_MS, MINUTE_MS, passTime, SECOND_MS } from '../support/broker/clock.ts'
import { outcomeOf, shown } from '../support/broker/contract.ts'
import {
  assertionOf,
  HEADER,
  newAccessBroker,
  newTeam,
  personClaims,
  TEAM,
  teamKey,
  through,
} from '../support/secrets/access.ts'
import { type Key, newKey, signed } from '../support/secrets/idp.ts'
import { tally } from '../support/tenants/issuing.ts'

const REFUSED = '401 invalid_token'

/** An RSA key of a size that `newKey` does not make. */
async function rsaKey(modulusLength: number): Promise<Key> {
  const parameters = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256', modulusLength }
  const exponent = { publicExponent: new Uint8Array([1, 0, 1]) }
  const pair = await crypto.subtle.generateKey({ ...parameters, ...exponent }, true, ['sign', 'verify'])
  const { publicKey, privateKey } = pair as CryptoKeyPair // RSA keys come in pairs
  return { alg: 'RS256', kid: HEADER.kid, privateKey, jwk: { ...(await exportJWK(publicKey)), kid: HEADER.kid } }
}

describe('the keys of a team', () => {
  it('G13: A key set that cannot be had or used opens nothing, and the log says so', async () => {
    const team = await newTeam()
    const { jwk } = await teamKey()
    const set = JSON.stringify({ keys: [jwk] })
    const troubles: Record<string, PlayedAnswer> = {
      'breaks off': { instead: 'reset' },
      floods: { instead: 'flood' },
      hangs: { instead: 'hang' },
      'is a redirect': { status: 302, headers: { location: `https://${TEAM}/cdn-cgi/access/certs` }, body: set },
      'is a permanent redirect': { status: 308, headers: { location: 'https://told-idp.test.example/x' }, body: set },
      'is a 404': { status: 404, body: set },
      'is a 500': { status: 500, body: set },
      'is HTML': { body: '<html>', headers: { 'content-type': 'text/html' } },
      'is empty': { body: '{"keys":[]}' },
      'has 64 KiB and a byte': { body: set.padEnd(65_537) },
      'has 51 keys': { body: JSON.stringify({ keys: [...Array(50).fill({ kty: 'EC' }), jwk] }) },
      'has certificates only': { body: JSON.stringify({ public_certs: [{ kid: HEADER.kid, cert: 'x' }] }) },
    }
    const logged = vi.spyOn(console, 'log')
    for (const [name, trouble] of Object.entries(troubles)) {
      await team.answers(trouble)
      const answer = await through(await newAccessBroker(), await assertionOf(personClaims()))
      expect(outcomeOf(answer), `a key set that ${name}: ${shown(answer)}`).toBe(REFUSED)
      expect(String(logged.mock.lastCall), name).toContain('"reason":"key_set_unavailable"')
    }
    vi.restoreAllMocks()
  })

  it('G13: A key of the set that is weak, of another kind, ambiguous or not for signatures verifies nothing', async () => {
    const { jwk } = await teamKey()
    const { jwk: other } = await newKey(HEADER.kid, 'RS256')
    const { jwk: curve } = await newKey(HEADER.kid, 'ES256')
    const weak = await rsaKey(1_024)
    const good = await assertionOf(personClaims())
    const sets: Record<string, [object[], string]> = {
      'of 1,024 bits': [[weak.jwk], await signed(weak, personClaims(), HEADER)],
      'for encryption': [[{ ...jwk, use: 'enc' }], good],
      'for RS512': [[{ ...jwk, alg: 'RS512' }], good],
      'of a curve': [[curve], good],
      'with a secret': [[{ ...jwk, k: 'x' }], good],
      'with its private part': [[{ ...jwk, d: 'x' }], good],
      'that stands there twice': [[jwk, jwk], good],
      'with another of that name': [[jwk, other], good],
      'without a name': [[{ ...jwk, kid: undefined }], good],
      'with half a modulus': [[{ ...jwk, n: String(jwk.n).slice(0, 100) }], good],
      'with no modulus': [[{ ...jwk, n: undefined }], good],
    }
    for (const [name, [keys, assertion]] of Object.entries(sets)) {
      await newTeam(keys)
      const answer = await through(await newAccessBroker(), assertion)
      expect(outcomeOf(answer), `a key ${name}: ${shown(answer)}`).toBe(REFUSED)
    }
    await newTeam([other, { ...jwk, kid: 'second', use: 'sig', alg: 'RS256' }, { kty: 'OKP-of-tomorrow' }])
    const second = await signed(await teamKey(), personClaims(), { ...HEADER, kid: 'second' })
    expectStatus(await through(await newAccessBroker(), second), 200)
  })

  it('G10: The keys of a team are asked for once, without anything of the caller, however many assertions name other keys', async () => {
    const team = await newTeam()
    const broker = await newAccessBroker()
    const good = await assertionOf(personClaims())
    expectStatus(await through(broker, good, { headers: { cookie: 'CF_Authorization=x' } }), 200)
    const unknown = await Promise.all(
      Array.from({ length: 64 }, (_, at) => assertionOf(personClaims(), { ...HEADER, kid: `unknown-${at}` })),
    )
    const answers = await Promise.all(unknown.map((assertion) => through(broker, assertion)))
    expect(tally(answers)).toEqual({ [REFUSED]: 64 })
    expectStatus(await through(broker, good), 200)
    const asked = await team.asked()
    expect(asked.length).toBe(1)
    expect(asked[0]?.method).toBe('GET')
    const sent = JSON.stringify(asked[0]?.headers)
    expect(sent).not.toMatch(/cookie|authorization|cf-access/i)
  })

  it('G13: A key that Cloudflare Access has rotated in counts after the cool-down, and one that is gone counts no more', async () => {
    const team = await newTeam()
    const broker = await newAccessBroker()
    const fresh = await newKey('fresh', 'RS256')
    const byOld = async () => outcomeOf(await through(broker, await assertionOf(personClaims())))
    const byFresh = async () =>
      outcomeOf(await through(broker, await signed(fresh, personClaims(), { ...HEADER, kid: 'fresh' })))
    expect(await byOld()).toBe('200')
    await team.serves(fresh.jwk)
    passTime(31 * SECOND_MS)
    expect(await byFresh()).toBe('200')
    expect(await byOld(), 'its key is gone').toBe(REFUSED)
    // While the set cannot be had, the last one is good for an hour.
    await team.answers({ status: 500 })
    passTime(30 * MINUTE_MS)
    expect(await byFresh()).toBe('200')
    passTime(HOUR_MS)
    expect(await byFresh()).toBe(REFUSED)
    await team.serves(fresh.jwk)
    passTime(31 * SECOND_MS)
    expect(await byFresh(), 'back after the cool-down').toBe('200')
  })
})
