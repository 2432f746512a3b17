/** G6: what takes a right away stops mints at once, also those in flight, and also where KV is stale. */

import { describe, expect, it } from 'vitest'
import { staleCache } from '../support/broker/bindings.ts'
import { expectStatus, newBroker } from '../support/broker/broker.ts'
import { passTime, until } from '../support/broker/clock.ts'
import {
  APP,
  doorsOf,
  expectOutcome,
  expectTakenBack,
  type Issuer,
  newIssuer,
  usable,
  usernameIn,
  whileMinting,
} from '../support/tenants/issuing.ts'

const tomorrow = () => new Date(Date.now() + 86_400_000).toISOString()
const patch = async ({ broker }: Issuer, change: object) =>
  expectStatus(await broker.admin('PATCH', '/tenants/acme', change), 200)
const ban = async ({ post }: Issuer, what: object) =>
  expectStatus(await post('/bans', { ...what, until: tomorrow() }), 201)
const deleteToken = async ({ broker, tokenId }: Issuer) =>
  expectStatus(await broker.admin('DELETE', `/tenants/acme/api-tokens/${tokenId}`), 204)

interface Taking {
  readonly takes: (acme: Issuer) => Promise<unknown>
  /** The outcomes of the mint in flight and of the next one. */
  readonly browser: readonly [string, string]
  readonly server: readonly [string, string]
}

const AGAIN = '503 broker_busy'
const TWIN_AGAIN = '503 31024'

const takings: Record<string, Taking> = {
  'the tenant is suspended': {
    takes: (acme) => patch(acme, { status: 'suspended' }),
    browser: ['403 tenant_suspended', '403 tenant_suspended'],
    server: ['403 31004', '403 31004'],
  },
  'the subject is banned': {
    takes: (acme) => ban(acme, { subject: 'ann' }),
    browser: ['403 subject_banned', '403 subject_banned'],
    server: ['403 31005', '403 31005'],
  },
  'the API token is banned': {
    takes: (acme) => ban(acme, { tokenId: acme.tokenId }),
    browser: ['403 subject_banned', '403 subject_banned'],
    server: ['403 31005', '403 31005'],
  },
  'the API token is deleted, and with it the client tokens it made': {
    takes: deleteToken,
    browser: ['401 invalid_token', '401 invalid_token'],
    server: ['401 10000', '401 10000'],
  },
  'the subject is revoked': {
    takes: ({ revocation }) => revocation({ subject: 'ann' }),
    browser: [AGAIN, '201'],
    server: [TWIN_AGAIN, '201'],
  },
  'the subject is revoked and banned': {
    takes: ({ revocation }) => revocation({ subject: 'ann', banUntil: tomorrow() }),
    browser: ['403 subject_banned', '403 subject_banned'],
    server: [TWIN_AGAIN, '403 31005'],
  },
  'the key is revoked': {
    takes: ({ revocation, uid }) => revocation({ keyId: uid }),
    browser: [AGAIN, '201'],
    server: [TWIN_AGAIN, '201'],
  },
  'everything is revoked': {
    takes: ({ revocation }) => revocation({ all: true }),
    browser: [AGAIN, '201'],
    server: [TWIN_AGAIN, '201'],
  },
  'the ceiling is lowered': {
    takes: (acme) => patch(acme, { policy: { maxTtl: 600, maxServerTtl: 600, defaultTtl: 600 } }),
    browser: ['400 ttl_too_long', '400 ttl_too_long'],
    server: ['400 31002', '400 31002'],
  },
}

describe.each(Object.entries(takings))('G6: a mint in flight when %s', (name, { takes, browser, server }) => {
  it(`G6: A browser gets no credential from a mint in flight when ${name}`, async () => {
    const acme = await newIssuer()
    const token = await acme.clientToken()
    passTime(120_000)
    const answer = await whileMinting(
      () => acme.ice(token, { ttl: 3_600 }),
      () => takes(acme),
    )
    expectOutcome(answer, browser[0])
    await expectTakenBack(answer)
    expectOutcome(await acme.ice(token, { ttl: 3_600 }), browser[1])
  })

  it(`G6: A server gets no credential from a mint in flight when ${name}`, async () => {
    const acme = await newIssuer()
    passTime(120_000)
    const ask = () => acme.generate({ customIdentifier: 'ann', ttl: 3_600 })
    const answer = await whileMinting(ask, () => takes(acme))
    expectOutcome(answer, server[0])
    await expectTakenBack(answer)
    expectOutcome(await ask(), server[1])
  })

  it(`G6: A browser gets no credential from a mint in flight when ${name}, also where KV is 60 s stale`, async () => {
    const acme = await newIssuer()
    const edge = doorsOf(newBroker({ CACHE: await staleCache() }), acme)
    const token = await edge.clientToken()
    const ask = () => edge.ice(token, { ttl: 3_600 }, { origin: APP })
    const answer = await whileMinting(ask, () => takes(acme))
    expectOutcome(answer, browser[0])
    expect(usernameIn(answer)).toBeUndefined()
    await until('the credential is revoked upstream', async () => (await usable()).length === 0)
    const next = await ask()
    expectOutcome(next, browser[1])
  })
})

describe('G6: a mint in flight when the policy changes', () => {
  it.each([
    ['an origin', APP, APP],
    ['a wildcard', 'https://*.apps.example.com', 'https://pr-7.apps.example.com'],
    ['the origin null', 'null', 'null'],
  ])(
    'G6: When %s is removed from the policy, its page gets no credential from a mint in flight, nor where KV is stale',
    async (_, rule, origin) => {
      const acme = await newIssuer({ allowedOrigins: [rule] })
      const edge = doorsOf(newBroker({ CACHE: await staleCache() }), acme)
      const token = await acme.clientToken()
      const ask = () => edge.ice(token, undefined, { origin })
      const answer = await whileMinting(ask, () => patch(acme, { policy: { allowedOrigins: [] } }))
      expectOutcome(answer, '403 origin_not_allowed')
      expect(usernameIn(answer)).toBeUndefined()
      await until('the credential is revoked upstream', async () => (await usable()).length === 0)
      expectOutcome(await ask(), '403 origin_not_allowed')
    },
  )

  it('G6: When an origin becomes required, an app without one gets no credential from a mint in flight', async () => {
    const acme = await newIssuer()
    const token = await acme.clientToken()
    passTime(120_000)
    const answer = await whileMinting(
      () => acme.ice(token),
      () => patch(acme, { policy: { requireOrigin: true } }),
    )
    expectOutcome(answer, '403 origin_not_allowed')
    await expectTakenBack(answer)
  })

  it('G6: When the ceiling falls below the default, a mint in flight hands out nothing; the next is shorter', async () => {
    const acme = await newIssuer()
    const token = await acme.clientToken()
    passTime(120_000)
    const answer = await whileMinting(
      () => acme.ice(token),
      () => patch(acme, { policy: { maxTtl: 600, defaultTtl: 600 } }),
    )
    expectOutcome(answer, AGAIN)
    await expectTakenBack(answer)
    expect((await acme.ice(token)).json.ttl).toBe(600)
  })
})
