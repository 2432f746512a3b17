/** Upstream is down, slow, or asks to wait: the stored credential, else the fallback, else an error; then recovery. */

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { FaultOrderInput } from '../../emulator/client.ts'
import { Dressing } from '../../emulator/faults/faults.ts'
import type { Answer } from '../support/broker/answer.ts'
import { expectStatus } from '../support/broker/broker.ts'
import { passTime, within } from '../support/broker/clock.ts'
import { shown } from '../support/broker/contract.ts'
import { emulator } from '../support/broker/upstream.ts'
import { credentialRows, expectOutcome, mintsAsked, newIssuer, tally, usernameIn } from '../support/tenants/issuing.ts'

type Fault = FaultOrderInput['fault']
const MINUTE_MS = 60_000

beforeEach(() => {
  // The shortest pauses between retries.
  vi.spyOn(Math, 'random').mockReturnValue(0)
})
afterEach(() => {
  vi.restoreAllMocks()
})

const failMints = (fault: Fault, times: number | 'always' = 'always') =>
  emulator.fault({ operation: 'generate-ice-servers', fault, times })

/** Each with its fault, the outcome of a mint, and how many calls upstream one mint makes. */
const dressings = Dressing.options
const outages: [string, Fault, string, number][] = [
  ['500', { kind: 'status', status: 500 }, '502 upstream_failed', 4],
  ['503 as HTML', { kind: 'status', status: 503, body: 'html' }, '502 upstream_failed', 4],
  ['resets', { kind: 'reset', at: 'before-body' }, '502 upstream_failed', 4],
  ['401', { kind: 'echo', status: 401 }, '502 upstream_failed', 1],
  ['nonsense', { kind: 'shape', shape: 'html' }, '502 upstream_failed', 1],
  ...dressings.map((dressing): [string, Fault, string, number] => [
    `429 dressed as ${dressing}`,
    { kind: 'rate-limit', dressing },
    '503 upstream_unavailable',
    1,
  ]),
]

const STUN_ONLY = {
  iceServers: [{ urls: ['stun:stun.cloudflare.com:3478'] }],
  ttl: 60,
  refreshAfter: 60,
  source: 'stun-only',
}

/** A stun-only answer hands out no credential, and its time is a minute. */
function expectStunOnly(answer: Answer): void {
  expectOutcome(answer, '201')
  expect(answer.json).toEqual({ ...STUN_ONLY, expiresAt: new Date(Date.now() + MINUTE_MS).toISOString() })
  expect(usernameIn(answer)).toBeUndefined()
}

function expectWait(answer: Answer): void {
  const wait = answer.headers.get('retry-after')
  if (answer.status === 503) expect(Number(wait), shown(answer)).toBeGreaterThanOrEqual(1)
  if (wait !== null) expect(Number(wait)).toBeLessThanOrEqual(60)
}

describe('an outage of upstream', () => {
  it.each(outages)(
    'While upstream answers with %s, a subject gets its stored credential, else the fallback, else an error',
    async (_name, fault, outcome, asked) => {
      const acme = await newIssuer()
      passTime(2 * MINUTE_MS)
      const first = await acme.ice(await acme.clientToken('ann'), { ttl: 600 })
      // Past half of its lifetime a credential is reused in an outage only.
      passTime(400_000)
      const [ann, bob] = [await acme.clientToken('ann'), await acme.clientToken('bob')]
      await emulator.clearLog()
      await failMints(fault)

      const kept = await acme.ice(ann)
      expect(kept.json, kept.text).toMatchObject({
        source: 'reused',
        ttl: 200,
        refreshAfter: 5,
        expiresAt: first.json.expiresAt,
      })
      expect(usernameIn(kept)).toBe(usernameIn(first))
      expect(await mintsAsked()).toHaveLength(asked)
      const refused = await acme.ice(bob)
      expectOutcome(refused, outcome)
      expectWait(refused)
      const server = await acme.generate({ customIdentifier: 'ann' })
      expect(server.status, server.text).toBeGreaterThanOrEqual(502)
      expectWait(server)

      expectStatus(await acme.broker.admin('PATCH', '/tenants/acme', { policy: { fallback: 'stun' } }), 200)
      expectStunOnly(await acme.ice(bob))
      // A credential with less than five seconds left is not reused.
      passTime(195_001)
      expectStunOnly(await acme.ice(ann))
      expect(await credentialRows()).toHaveLength(1)

      // No cool-down: the first call after the outage is minted.
      await emulator.clearFaults()
      for (const token of [ann, bob])
        expect((await acme.ice(token)).json).toMatchObject({ source: 'minted', ttl: 3_600 })
    },
  )
})

describe('answers in an outage', () => {
  const withheld: [string, { origin?: string }, { credentialTtl?: number }][] = [
    ['of another origin', { origin: 'https://app.example' }, {}],
    ['that was revoked', {}, {}],
    ['that lives longer than the client token allows', {}, { credentialTtl: 60 }],
  ]
  it.each(withheld)('In an outage no credential %s is handed out', async (name, headers, claims) => {
    const acme = await newIssuer()
    await acme.ice(await acme.clientToken('ann'))
    if (name === 'that was revoked') await acme.revocation({ subject: 'ann' })
    await failMints({ kind: 'rate-limit' })
    expectOutcome(await acme.ice(await acme.clientToken('ann', claims), {}, headers), '503 upstream_unavailable')
  })

  it('In an outage a refusal by limit, ceiling or ban stays a refusal', async () => {
    const acme = await newIssuer({ fallback: 'stun', maxLiveCredentials: 1 })
    const [ann, bob] = [await acme.clientToken('ann'), await acme.clientToken('bob')]
    expectOutcome(await acme.ice(ann), '201')
    await failMints({ kind: 'rate-limit' })
    expectOutcome(await acme.ice(bob), '429 tenant_limit')
    expectOutcome(await acme.ice(ann, { ttl: 14_401 }), '400 ttl_too_long')
    await acme.post('/bans', { subject: 'ann', until: new Date(Date.now() + MINUTE_MS).toISOString() })
    expectOutcome(await acme.ice(ann, { ttl: 60 }), '403 subject_banned')
  })

  it.each([
    ['whose policy leaves room for one URL', { urls: { maxUrls: 1 } }, {}],
    ['that has only learnt a single TURN URL', {}, { iceServers: 'object', urls: 'string' }],
    ['that has learnt no URL', null, {}],
  ] as const)('The fallback of a tenant %s still has a STUN URL', async (_name, policy, settings) => {
    const acme = await newIssuer({ fallback: 'stun', ...policy })
    await emulator.settings(settings)
    if (policy !== null) expectOutcome(await acme.generate(), '201')
    await failMints({ kind: 'rate-limit' })
    const token = await acme.clientToken()
    passTime(2 * MINUTE_MS)
    expectStunOnly(await acme.ice(token))
  })
})

describe('retries of a mint', () => {
  it.each([
    ['is retried after three 500s', { kind: 'status', status: 500 }, 3, 4, '201'],
    ['is retried after three resets', { kind: 'reset', at: 'after-body' }, 3, 4, '201'],
    ['is retried three times and no more', { kind: 'status', status: 502 }, 9, 4, '502 upstream_failed'],
    ['is not retried after a 429', { kind: 'rate-limit' }, 1, 1, '503 upstream_unavailable'],
    ['is not retried after a 400', { kind: 'status', status: 400 }, 1, 1, '502 upstream_failed'],
    ['is not retried after a wrong answer', { kind: 'shape', shape: 'wrong-types' }, 1, 1, '502 upstream_failed'],
    ['is not retried after a redirect', { kind: 'redirect', location: '/elsewhere' }, 1, 1, '502 upstream_failed'],
  ] as [string, Fault, number, number, string][])('A mint %s', async (_name, fault, times, asked, outcome) => {
    const acme = await newIssuer()
    await failMints(fault, times)
    expectOutcome(await acme.ice(await acme.clientToken()), outcome)
    expect(await mintsAsked()).toHaveLength(asked)
    expect(await emulator.log('unknown')).toEqual([])
    expect((await credentialRows()).map(({ state }) => state)).toEqual(outcome === '201' ? ['live'] : [])
  })
})

describe('the deadline of a mint', () => {
  it('A mint is answered by its deadline while upstream is silent, without a credential that has expired', async () => {
    const [acme, calm, short] = [
      await newIssuer({}, 'acme'),
      await newIssuer({ fallback: 'stun' }, 'calm'),
      await newIssuer({}, 'short'),
    ]
    expectOutcome(await acme.ice(await acme.clientToken('ann'), { ttl: 600 }), '201')
    expectOutcome(await short.ice(await short.clientToken('ann'), { ttl: 9 }), '201')
    await failMints({ kind: 'hang' }, 6)
    await failMints({ kind: 'drip', everyMs: 15_000 })
    const tokens = [
      await acme.clientToken('ann'),
      await acme.clientToken('bob'),
      await calm.clientToken(),
      await short.clientToken('ann'),
    ]
    const [ann = '', bob = '', cal = '', sho = ''] = tokens
    const asked = [acme.ice(ann), acme.ice(bob), acme.generate(), calm.ice(cal), short.ice(sho)] as const
    const answers = await within(5_000, 'every mint is answered while upstream drips', Promise.all(asked))
    const [kept, refused, server, fallen, late] = answers
    expect(kept.json, kept.text).toMatchObject({ source: 'reused' })
    expectOutcome(refused, '504 upstream_timeout')
    expectOutcome(server, '504 31027')
    expect(fallen.json, fallen.text).toMatchObject(STUN_ONLY)
    expectOutcome(late, '504 upstream_timeout')
    await emulator.clearFaults()
    expect(tally([await acme.ice(bob), await acme.generate(), await calm.ice(cal), await short.ice(sho)])).toEqual({
      '201': 4,
    })
  })

  it('A mint succeeds within its deadline while upstream is only slow, or drips', async () => {
    const acme = await newIssuer()
    await failMints({ kind: 'delay', ms: 1_000 }, 1)
    await failMints({ kind: 'drip', everyMs: 0 }, 1)
    expect(tally(await Promise.all([acme.generate(), acme.generate()]))).toEqual({ '201': 2 })
  })
})
