/** G6 for tenants' own users: what takes their right away stops mints at once; limits count them like anybody. */

import { describe, expect, it } from 'vitest'
import { staleCache } from '../support/broker/bindings.ts'
import { expectStatus, newBroker } from '../support/broker/broker.ts'
import { MINUTE_MS, passTime, SECOND_MS } from '../support/broker/clock.ts'
import { askIceServers } from '../support/broker/doors.ts'
import { issuerAt, jwtOf, newKey } from '../support/secrets/idp.ts'
import { runJobs } from '../support/storage/storage.ts'
import {
  credentialRows,
  expectOutcome,
  mintsAsked,
  newIssuer,
  tally,
  usable,
  usernameIn,
  whileMinting,
} from '../support/tenants/issuing.ts'

const key = await newKey('good')
const otherKey = await newKey('good')
const other = issuerAt({ keys: [key] }, { audience: 'another app' })

async function trusting(policy: object = {}) {
  const acme = await newIssuer({ issuers: [issuerAt({ keys: [key] }), other], ...policy })
  passTime(2 * MINUTE_MS)
  const token = (sub = 'ann', more: object = {}) => jwtOf(key, { sub, ...more })
  const patch = async (change: object) => expectStatus(await acme.broker.admin('PATCH', '/tenants/acme', change), 200)
  const ban = async (subject: string) => {
    const until = new Date(Date.now() + 3_600_000).toISOString()
    expectStatus(await acme.post('/bans', { subject, until }), 201)
  }
  return { ...acme, token, patch, ban }
}
type Trusting = Awaited<ReturnType<typeof trusting>>

const TAKINGS: Record<string, { takes: (acme: Trusting) => Promise<unknown>; outcome: string }> = {
  'the issuer is removed': {
    takes: ({ patch }) => patch({ policy: { issuers: [other] } }),
    outcome: '401 invalid_token',
  },
  'all issuers are removed': {
    takes: ({ patch }) => patch({ policy: { issuers: null } }),
    outcome: '401 invalid_token',
  },
  'its audience is another': {
    takes: ({ patch }) => patch({ policy: { issuers: [issuerAt({ keys: [key] }, { audience: 'new' })] } }),
    outcome: '401 invalid_token',
  },
  'its key is another': {
    takes: ({ patch }) => patch({ policy: { issuers: [issuerAt({ keys: [otherKey] }), other] } }),
    outcome: '401 invalid_token',
  },
  'its algorithm is not allowed any more': {
    takes: ({ patch }) => patch({ policy: { issuers: [issuerAt({ keys: [key] }, { algorithms: ['RS256'] })] } }),
    outcome: '401 invalid_token',
  },
  'a claim is required that the token lacks': {
    takes: ({ patch }) =>
      patch({ policy: { issuers: [issuerAt({ keys: [key] }, { requiredClaims: { role: 'caller' } })] } }),
    outcome: '401 invalid_token',
  },
  'another claim names the subject': {
    takes: ({ patch }) => patch({ policy: { issuers: [issuerAt({ keys: [key] }, { subjectClaim: 'uid' })] } }),
    outcome: '401 invalid_token',
  },
  'the tenant is suspended': { takes: ({ patch }) => patch({ status: 'suspended' }), outcome: '403 tenant_suspended' },
  'the user is banned': { takes: ({ ban }) => ban('ann'), outcome: '403 subject_banned' },
}

describe.each(Object.entries(TAKINGS))('G6: when %s,', (name, { takes, outcome }) => {
  it(`G6: When ${name}, a user's mint in flight is not handed out and is revoked`, async () => {
    const acme = await trusting()
    const token = await acme.token()
    const answer = await whileMinting(
      () => acme.ice(token),
      () => takes(acme),
    )
    expectOutcome(answer, outcome)
    expect(usernameIn(answer)).toBeUndefined()
    expect(await credentialRows()).toMatchObject([{ state: 'revoking', sealed: null }])
    passTime(2 * MINUTE_MS)
    await runJobs('acme')
    expect(await usable()).toEqual([])
    expectOutcome(await acme.ice(await acme.token()), outcome)
  })

  it(`G6: When ${name}, a user is refused also by an isolate without news of it and with a KV that is 60 s stale`, async () => {
    const acme = await trusting()
    const token = await acme.token()
    expectStatus(await acme.ice(token), 201)
    expectStatus(await acme.ice(await acme.token('warm')), 201)
    const stale = newBroker({ CACHE: await staleCache() })
    // An edge that remembers it itself.
    const remembering = newBroker({ CACHE: await staleCache() })
    expectStatus(await askIceServers(remembering, 'acme', token), 201)
    await takes(acme)
    passTime(59 * SECOND_MS)
    const minted = (await mintsAsked()).length
    for (const edge of [stale, remembering, acme.broker])
      expectOutcome(await askIceServers(edge, 'acme', token), outcome)
    expect(await mintsAsked()).toHaveLength(minted)
  })
})

describe("a tenant's own user", () => {
  it("A tenant's own user of another issuer, or another subject, goes on", async () => {
    const acme = await trusting()
    await acme.ban('ann')
    expectStatus(await acme.ice(await acme.token('ben')), 201)
    await acme.patch({ policy: { issuers: [other] } })
    expectOutcome(await acme.ice(await acme.token('ben')), '401 invalid_token')
    expectStatus(await acme.ice(await acme.token('ben', { aud: 'another app' })), 201)
    await acme.patch({ policy: { issuers: [issuerAt({ keys: [key] })] } })
    expectStatus(await acme.ice(await acme.token('ben')), 201)
  })

  it("A tenant's own user has one limit and one credential to reuse with whatever token: the subject counts", async () => {
    const acme = await trusting({ maxLiveCredentialsPerSubject: 2 })
    const clientToken = await acme.clientToken('ann')
    const first = await acme.ice(clientToken, { ttl: 600 })
    const again = await acme.ice(await acme.token('ann'), { ttl: 600 })
    expect([again.json?.source, usernameIn(again)], again.text).toEqual(['reused', usernameIn(first)])
    const back = await acme.ice(clientToken, { ttl: 600 })
    expect(back.json?.source, back.text).toBe('reused')

    await acme.patch({ policy: { reuse: false } })
    expectStatus(await acme.ice(await acme.token('ann'), { ttl: 600 }), 201)
    for (const token of [await acme.token('ann'), clientToken, await acme.token('ann', { aud: 'another app' })])
      expectOutcome(await acme.ice(token, { ttl: 600 }), '429 subject_limit')
    expectStatus(await acme.ice(await acme.token('ben'), { ttl: 600 }), 201)
    expect(await credentialRows()).toHaveLength(3)
  })

  it("A tenant's own user is held to an exact limit, however many tokens come at once", async () => {
    const acme = await trusting({ maxLiveCredentialsPerSubject: 5, reuse: false })
    const tokens = await Promise.all(Array.from({ length: 10 }, (_, at) => acme.token('ann', { jti: String(at) })))
    const clients = await Promise.all(Array.from({ length: 10 }, () => acme.clientToken('ann')))
    const answers = await Promise.all([...tokens, ...clients].map((token) => acme.ice(token)))
    expect(tally(answers)).toEqual({ '201': 5, '429 subject_limit': 15 })
  })

  it("A tenant's own user can be revoked by name like any other", async () => {
    const acme = await trusting()
    expectStatus(await acme.ice(await acme.token('ann')), 201)
    await acme.revocation({ subject: 'ann' })
    passTime(2 * MINUTE_MS)
    await runJobs('acme')
    expect(await usable()).toEqual([])
  })
})
