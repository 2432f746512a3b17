/** Which credentials are answered from the ledger, which calls share one mint, and the arithmetic of what is told of them. */

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

/** Seconds: the life of the credential there is, what is left of it, and what is asked. */
const lives: [string, { life: number; left: number; asked: number }, 'minted' | 'reused'][] = [
  ['just as long as asked', { life: 3_600, left: 3_600, asked: 3_600 }, 'reused'],
  ['with exactly half of its life and of what is asked', { life: 3_600, left: 1_800, asked: 3_600 }, 'reused'],
  ['with a millisecond less than half of its life', { life: 3_600, left: 1_799.999, asked: 3_000 }, 'minted'],
  ['with a millisecond more than is asked', { life: 3_600, left: 1_800.001, asked: 1_800 }, 'minted'],
  ['with as much left as is asked, and half of its life', { life: 3_600, left: 1_800, asked: 1_800 }, 'reused'],
  [
    'with as much left as is asked, but less than half of its life',
    { life: 3_600, left: 1_700, asked: 1_700 },
    'minted',
  ],
  ['with half of what is asked, and all of its life', { life: 3_600, left: 3_600, asked: 7_200 }, 'reused'],
  ['with less than half of what is asked', { life: 3_600, left: 3_600, asked: 7_201 }, 'minted'],
  ['with more left than is asked', { life: 3_600, left: 3_600, asked: 3_599 }, 'minted'],
  ['with a millisecond left', { life: 2, left: 0.001, asked: 1 }, 'minted'],
  ['that has expired', { life: 60, left: 0, asked: 60 }, 'minted'],
  ['that expired long ago', { life: 60, left: -600, asked: 60 }, 'minted'],
  ['of one second, at once', { life: 1, left: 1, asked: 1 }, 'reused'],
]

describe('a credential of the same subject, key and origin', () => {
  it.each(lives)('%s', async (_name, { life, left, asked }, source) => {
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

/** After `ann` was given one, without an origin: who asks, and from where. */
const others: [string, (acme: Acme) => Promise<Answer>, 'minted' | 'reused'][] = [
  ['the same subject with another token', async (acme) => acme.ice(await acme.clientToken('ann')), 'reused'],
  ['another subject', async (acme) => acme.ice(await acme.clientToken('bob')), 'minted'],
  ['a subject spelled alike', async (acme) => acme.ice(await acme.clientToken('Ann')), 'minted'],
  ['an origin', async (acme) => acme.ice(await acme.clientToken('ann'), {}, { origin: APP }), 'minted'],
  [
    'another key',
    async (acme) => acme.ice(await acme.clientToken('ann', { keyId: await newTurnKey(acme.broker, acme, 'second') })),
    'minted',
  ],
  ['the same key by name', async (acme) => acme.ice(await acme.clientToken('ann', { keyId: acme.uid })), 'reused'],
  [
    'the same, when the first was revoked',
    async (acme) => {
      await acme.revocation({ subject: 'ann' })
      return acme.ice(await acme.clientToken('ann'))
    },
    'minted',
  ],
  [
    'the same, when the policy has forbidden reuse',
    async (acme) => {
      await acme.broker.admin('PATCH', '/tenants/acme', { policy: { reuse: false } })
      return acme.ice(await acme.clientToken('ann'))
    },
    'minted',
  ],
]

describe('a credential is answered again, or not, to', () => {
  it.each(others)('%s', async (_name, ask, source) => {
    const acme = await newIssuer()
    const first = await acme.ice(await acme.clientToken('ann'))
    const second = await ask(acme)
    expect(second.json, second.text).toMatchObject({ source })
    expect(usernameIn(second) === usernameIn(first)).toBe(source === 'reused')
  })

  it('one origin each', async () => {
    const acme = await newIssuer()
    const token = await acme.clientToken()
    const at = async (origin: string) => usernameIn(await acme.ice(token, {}, { origin }))
    const [app, other] = [await at(APP), await at(OTHER_APP)]
    expect(app).not.toBe(other)
    expect([await at(APP), await at(OTHER_APP)]).toEqual([app, other])
  })

  it('a server never: it gets its own each time', async () => {
    const acme = await newIssuer()
    const ask = () => acme.generate({ customIdentifier: 'ann' })
    expect(usernameIn(await ask())).not.toBe(usernameIn(await ask()))
    expect(await mintsAsked()).toHaveLength(2)
  })
})

const parallel = <T>(count: number, ask: (n: number) => Promise<T>) =>
  Promise.all(Array.from({ length: count }, (_, n) => ask(n)))

describe('64 parallel calls of one subject', () => {
  it('are answered by one mint, and each is on record', async () => {
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

  it('share the failure too: upstream is asked by one of them', async () => {
    const acme = await newIssuer()
    const token = await acme.clientToken()
    await emulator.fault({ operation: 'generate-ice-servers', fault: { kind: 'status', status: 403 }, times: 'always' })
    const answers = await parallel(64, () => acme.ice(token))
    expect(tally(answers)).toEqual({ '502 upstream_failed': 64 })
    expect(await mintsAsked()).toHaveLength(1)
  })

  it('for four lifetimes at two origins are eight mints', async () => {
    const acme = await newIssuer()
    const token = await acme.clientToken()
    const ask = (n: number) => acme.ice(token, { ttl: 600 * (1 + (n % 4)) }, { origin: n % 8 < 4 ? APP : OTHER_APP })
    expect(tally(await parallel(64, ask))).toEqual({ '201': 64 })
    expect(await mintsAsked()).toHaveLength(8)
  })
})

describe('of a credential is told', () => {
  it.each([
    [3_600, 1_800],
    [3_601, 1_800],
    [10, 5],
    [9, 5],
    [1, 5],
  ])('for %i seconds: the whole of it, and to ask again after %i', async (ttl, refreshAfter) => {
    const acme = await newIssuer()
    passTime(2 * MINUTE_MS)
    const { json } = await acme.ice(await acme.clientToken(), { ttl })
    const expiresAt = new Date(Date.now() + ttl * 1_000).toISOString()
    expect(json).toMatchObject({ ttl, expiresAt, refreshAfter, source: 'minted' })
  })

  it.each([
    [0, 3_600, 1_800],
    [600.5, 2_999, 1_199],
    [1_796, 1_804, 5],
    [1_800, 1_800, 5],
  ])('%d seconds later: %i are left, and to ask again after %i', async (later, ttl, refreshAfter) => {
    const acme = await newIssuer()
    passTime(2 * MINUTE_MS)
    const { json: first } = await acme.ice(await acme.clientToken())
    passTime(later * 1_000)
    const { json } = await acme.ice(await acme.clientToken())
    expect(json).toMatchObject({ ttl, refreshAfter, expiresAt: first.expiresAt, source: 'reused' })
  })

  it('an end that is never after upstream’s own, however long upstream took', async () => {
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

  it('nothing, when it was over before it came', async () => {
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
