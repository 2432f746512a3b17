/** Which credentials are answered from the ledger, which calls share one mint, and the lifetimes in the answers. */

import { describe, expect, it } from 'vitest'
import type { Answer } from '../support/broker/answer.ts'
import { newTurnKey } from '../support/broker/broker.ts'
import { passTime } from '../support/broker/clock.ts'
import { emulator } from '../support/broker/upstream.ts'
import {
  APP,
  expectOutcome,
  mintsAsked,
  newIssuer,
  OTHER_APP,
  tally,
  upstreamCredentials,
  usernameIn,
  whileMinting,
} from '../support/tenants/issuing.ts'

const MINUTE_MS = 60_000

/** In seconds: the lifetime of the stored credential, how much is left, and the ttl that is asked for. */
const lives: [string, { life: number; left: number; asked: number }, 'minted' | 'reused'][] = [
  ['that lives exactly as long as asked is reused', { life: 3_600, left: 3_600, asked: 3_600 }, 'reused'],
  [
    'with exactly half of its lifetime and half of the asked ttl left is reused',
    { life: 3_600, left: 1_800, asked: 3_600 },
    'reused',
  ],
  [
    'with a millisecond less than half of its lifetime left is not reused',
    { life: 3_600, left: 1_799.999, asked: 3_000 },
    'minted',
  ],
  [
    'with a millisecond more than the asked ttl left is not reused',
    { life: 3_600, left: 1_800.001, asked: 1_800 },
    'minted',
  ],
  ['with the asked ttl and half of its lifetime left is reused', { life: 3_600, left: 1_800, asked: 1_800 }, 'reused'],
  [
    'with the asked ttl but less than half of its lifetime left is not reused',
    { life: 3_600, left: 1_700, asked: 1_700 },
    'minted',
  ],
  [
    'with half of the asked ttl and its whole lifetime left is reused',
    { life: 3_600, left: 3_600, asked: 7_200 },
    'reused',
  ],
  ['with less than half of the asked ttl left is not reused', { life: 3_600, left: 3_600, asked: 7_201 }, 'minted'],
  ['with more than the asked ttl left is not reused', { life: 3_600, left: 3_600, asked: 3_599 }, 'minted'],
  ['with a millisecond left is not reused', { life: 2, left: 0.001, asked: 1 }, 'minted'],
  ['that has expired is not reused', { life: 60, left: 0, asked: 60 }, 'minted'],
  ['that expired long ago is not reused', { life: 60, left: -600, asked: 60 }, 'minted'],
  ['of one second is reused at once', { life: 1, left: 1, asked: 1 }, 'reused'],
]

describe('a credential of the same subject, key and origin', () => {
  it.each(lives)('A credential %s', async (_name, { life, left, asked }, source) => {
    const acme = await newIssuer()
    passTime(2 * MINUTE_MS)
    const first = await acme.ice(await acme.clientToken(), { ttl: life })
    expect(first.json, first.text).toMatchObject({ source: 'minted', ttl: life })
    passTime((life - left) * 1_000)
    const second = await acme.ice(await acme.clientToken(), { ttl: asked })
    expect(second.json, second.text).toMatchObject({ source })
    expect(usernameIn(second) === usernameIn(first)).toBe(source === 'reused')
    expect(await mintsAsked()).toHaveLength(source === 'reused' ? 1 : 2)
    expect(Date.parse(second.json.expiresAt)).toBeGreaterThan(Date.now())
    expect(Date.parse(second.json.expiresAt)).toBeLessThanOrEqual(Date.now() + asked * 1_000)
  })
})

type Acme = Awaited<ReturnType<typeof newIssuer>>

/** The next request after `ann` got a credential without an origin, and whether that credential is reused. */
const others: [string, (acme: Acme) => Promise<Answer>, 'minted' | 'reused'][] = [
  [
    'The same subject with another client token gets the stored credential',
    async (acme) => acme.ice(await acme.clientToken('ann')),
    'reused',
  ],
  ['Another subject gets a new credential', async (acme) => acme.ice(await acme.clientToken('bob')), 'minted'],
  [
    'A subject that differs in case only gets a new credential',
    async (acme) => acme.ice(await acme.clientToken('Ann')),
    'minted',
  ],
  [
    'The same subject at an origin gets a new credential',
    async (acme) => acme.ice(await acme.clientToken('ann'), {}, { origin: APP }),
    'minted',
  ],
  [
    'A request for another TURN key gets a new credential',
    async (acme) => acme.ice(await acme.clientToken('ann', { keyId: await newTurnKey(acme.broker, acme, 'second') })),
    'minted',
  ],
  [
    'A request that names the same TURN key gets the stored credential',
    async (acme) => acme.ice(await acme.clientToken('ann', { keyId: acme.uid })),
    'reused',
  ],
  [
    'A subject whose credential was revoked gets a new one',
    async (acme) => {
      await acme.revocation({ subject: 'ann' })
      return acme.ice(await acme.clientToken('ann'))
    },
    'minted',
  ],
  [
    'A subject gets a new credential once the policy forbids reuse',
    async (acme) => {
      await acme.broker.admin('PATCH', '/tenants/acme', { policy: { reuse: false } })
      return acme.ice(await acme.clientToken('ann'))
    },
    'minted',
  ],
]

describe('the reuse of a stored credential', () => {
  it.each(others)('%s', async (_name, ask, source) => {
    const acme = await newIssuer()
    const first = await acme.ice(await acme.clientToken('ann'))
    const second = await ask(acme)
    expect(second.json, second.text).toMatchObject({ source })
    expect(usernameIn(second) === usernameIn(first)).toBe(source === 'reused')
  })

  it('Each origin has a stored credential of its own', async () => {
    const acme = await newIssuer()
    const token = await acme.clientToken()
    const at = async (origin: string) => usernameIn(await acme.ice(token, {}, { origin }))
    const [app, other] = [await at(APP), await at(OTHER_APP)]
    expect(app).not.toBe(other)
    expect([await at(APP), await at(OTHER_APP)]).toEqual([app, other])
  })

  it('A server never gets a stored credential: each call is a mint', async () => {
    const acme = await newIssuer()
    const ask = () => acme.generate({ customIdentifier: 'ann' })
    expect(usernameIn(await ask())).not.toBe(usernameIn(await ask()))
    expect(await mintsAsked()).toHaveLength(2)
  })
})

const parallel = <T>(count: number, ask: (n: number) => Promise<T>) =>
  Promise.all(Array.from({ length: count }, (_, n) => ask(n)))

describe('64 parallel calls of one subject', () => {
  it('64 parallel calls of one subject share one mint, and each call is counted', async () => {
    const acme = await newIssuer({ maxLiveCredentials: 1, maxLiveCredentialsPerSubject: 1, maxMintsPerMinute: 1 })
    const token = await acme.clientToken()
    const answers = await parallel(64, () => acme.ice(token))
    expect(tally(answers)).toEqual({ '201': 64 })
    expect(new Set(answers.map(usernameIn)).size).toBe(1)
    expect(answers.filter(({ json }) => json.source === 'minted')).toHaveLength(1)
    expect(await mintsAsked()).toHaveLength(1)
    const self = await acme.broker.call('GET', '/v1/tenants/acme', acme.token)
    expect(self.json.usage).toMatchObject([{ issued: 1, reused: 63 }])
  })

  it('64 parallel calls of one subject share a failed mint, which is one call upstream', async () => {
    const acme = await newIssuer()
    const token = await acme.clientToken()
    await emulator.fault({ operation: 'generate-ice-servers', fault: { kind: 'status', status: 403 }, times: 'always' })
    const answers = await parallel(64, () => acme.ice(token))
    expect(tally(answers)).toEqual({ '502 upstream_failed': 64 })
    expect(await mintsAsked()).toHaveLength(1)
  })

  it('64 parallel calls for four lifetimes at two origins cause eight mints', async () => {
    const acme = await newIssuer()
    const token = await acme.clientToken()
    const ask = (n: number) => acme.ice(token, { ttl: 600 * (1 + (n % 4)) }, { origin: n % 8 < 4 ? APP : OTHER_APP })
    expect(tally(await parallel(64, ask))).toEqual({ '201': 64 })
    expect(await mintsAsked()).toHaveLength(8)
  })
})

describe('the lifetime in an answer', () => {
  it.each([
    [3_600, 1_800],
    [3_601, 1_800],
    [10, 5],
    [9, 5],
    [1, 5],
  ])(
    'A credential minted for %i seconds is answered with its whole ttl and a refreshAfter of %i',
    async (ttl, refreshAfter) => {
      const acme = await newIssuer()
      passTime(2 * MINUTE_MS)
      const { json } = await acme.ice(await acme.clientToken(), { ttl })
      const expiresAt = new Date(Date.now() + ttl * 1_000).toISOString()
      expect(json).toMatchObject({ ttl, expiresAt, refreshAfter, source: 'minted' })
    },
  )

  it.each([
    [0, 3_600, 1_800],
    [600.5, 2_999, 1_199],
    [1_796, 1_804, 5],
    [1_800, 1_800, 5],
  ])(
    'A credential reused %d seconds later is answered with a ttl of %i and a refreshAfter of %i',
    async (later, ttl, refreshAfter) => {
      const acme = await newIssuer()
      passTime(2 * MINUTE_MS)
      const { json: first } = await acme.ice(await acme.clientToken())
      passTime(later * 1_000)
      const { json } = await acme.ice(await acme.clientToken())
      expect(json).toMatchObject({ ttl, refreshAfter, expiresAt: first.expiresAt, source: 'reused' })
    },
  )

  it('The expiry in an answer is never later than upstream’s own, however long upstream took', async () => {
    const acme = await newIssuer({ reuse: false })
    const token = await acme.clientToken()
    for (const when of ['before', 'after'] as const) {
      await emulator.fault({ operation: 'generate-ice-servers', fault: { kind: 'delay', ms: 250, when } })
      const asked = Date.now()
      const answer = await acme.ice(token, { ttl: 60 })
      const theirs = (await upstreamCredentials()).find(({ username }) => username === usernameIn(answer))
      const ours = Date.parse(answer.json.expiresAt)
      expect(ours).toBeLessThanOrEqual(Date.parse(theirs?.expiresAt ?? ''))
      expect(ours).toBeGreaterThanOrEqual(asked + 60_000)
      expect(answer.json.ttl).toBe(59)
    }
  })

  it('A credential that expires before upstream answers is not handed out', async () => {
    const acme = await newIssuer()
    passTime(2 * MINUTE_MS)
    const token = await acme.clientToken()
    const answer = await whileMinting(
      () => acme.ice(token, { ttl: 1 }),
      async () => passTime(1_000),
    )
    expectOutcome(answer, '504 upstream_timeout')
    expect(usernameIn(answer)).toBeUndefined()
  })
})
