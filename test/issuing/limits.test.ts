/** G8: hard limits are exact, also under 500 parallel requests; the soft rates are out of the way. */

import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import type { Answer } from '../support/broker/answer.ts'
import { newBroker } from '../support/broker/broker.ts'
import { MINUTE_MS, passTime, SECOND_MS } from '../support/broker/clock.ts'
import { emulator } from '../support/broker/upstream.ts'
import { runJobs } from '../support/storage/storage.ts'
import { tenantSql } from '../support/storage/tenantRows.ts'
import {
  expectOutcome,
  killObjects,
  mintsAsked,
  newIssuer,
  tally,
  usable,
  wakeAccount,
} from '../support/tenants/issuing.ts'

const TENANT_LIMIT = '429 31020'
const AMPLE = { maxMintsPerMinute: 100_000, maxLiveCredentials: 1_000_000, maxLiveCredentialsPerSubject: 1_000 }

const times = <T>(count: number, ask: (n: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: count }, (_, n) => ask(n)))

/** Hundreds of requests at once, on a busy machine. */
const PATIENCE_MS = 60_000

describe('G8: limits under parallel requests', { timeout: PATIENCE_MS }, () => {
  // On a busy machine 500 requests take longer than the deadline of one: frozen timers keep it from passing.
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['Date', 'setTimeout', 'clearTimeout'] })
    onTestFinished(async () => {
      vi.useRealTimers()
      await wakeAccount()
    })
  })

  it('G8: Of 500 parallel requests exactly 100 are served where the tenant may have 100 live credentials', async () => {
    const acme = await newIssuer({ ...AMPLE, maxLiveCredentials: 100 })
    const answers = await times(500, (n) => acme.generate({ customIdentifier: `subject-${n}` }))
    expect(tally(answers)).toEqual({ '201': 100, [TENANT_LIMIT]: 400 })
    expect(await mintsAsked()).toHaveLength(100)
    expect(await usable()).toHaveLength(100)
    expectOutcome(await acme.generate(), TENANT_LIMIT)
  })

  it('G8: Of 500 parallel requests exactly 100 are served where a subject may have 100, and another is served', async () => {
    const acme = await newIssuer({ ...AMPLE, maxLiveCredentialsPerSubject: 100, reuse: false })
    const token = await acme.clientToken()
    const answers = await times(500, () => acme.ice(token))
    expect(tally(answers)).toEqual({ '201': 100, '429 subject_limit': 400 })
    expect(await mintsAsked()).toHaveLength(100)
    expectOutcome(await acme.ice(await acme.clientToken('bob')), '201')
  })

  it('G8: Of 200 parallel requests exactly 50 are served where a tenant may mint 50 a minute, until the next', async () => {
    const acme = await newIssuer({ ...AMPLE, maxMintsPerMinute: 50 })
    passTime(2 * MINUTE_MS)
    const ask = () => times(200, (n) => acme.generate({ customIdentifier: `subject-${n}` }))
    expect(tally(await ask())).toEqual({ '201': 50, [TENANT_LIMIT]: 150 })
    passTime(MINUTE_MS - 1)
    expectOutcome(await acme.generate(), TENANT_LIMIT)
    passTime(1)
    expectOutcome(await acme.generate(), '201')
  })

  it('G8: Of 300 parallel requests 3 are sent upstream, 256 are queued, and the others get a 503 to retry in 1 s, where nothing is lent', async () => {
    const acme = await newIssuer(AMPLE, 'acme', newBroker({ LEND_CONNECTIONS: 'off' }))
    await emulator.hold('generate-ice-servers', 'all', { times: 3 })
    const answers: Answer[] = []
    const asked = Array.from({ length: 300 }, async () => answers.push(await acme.generate()))
    await emulator.untilHeld('all', { count: 3 })
    await Promise.race(asked)
    expect(tally(answers)).toEqual({ '503 31024': answers.length })
    await emulator.release('all')
    await Promise.all(asked)
    expect(tally(answers)).toEqual({ '201': 259, '503 31024': 41 })
    const busy = answers.filter(({ status }) => status === 503)
    expect(new Set(busy.map(({ headers }) => headers.get('retry-after')))).toEqual(new Set(['1']))
  })
})

describe('G8: the limit of a subject', () => {
  it.each([
    ['lifetimes', (n: number) => ({ ttl: 3_600 - n })],
    ['nothing, at a tenant without reuse', () => ({})],
  ])('G8: The limit of a subject is exact for parallel calls that differ in %s', async (what, body) => {
    const acme = await newIssuer({ ...AMPLE, maxLiveCredentialsPerSubject: 20, reuse: what === 'lifetimes' })
    const token = await acme.clientToken()
    const answers = await times(60, (n) => acme.ice(token, body(n)))
    expect(tally(answers)).toEqual({ '201': 20, '429 subject_limit': 40 })
  })

  it('G8: The limit of a subject counts the credentials of both doors, also for its first mints in parallel', async () => {
    const acme = await newIssuer({ ...AMPLE, maxLiveCredentialsPerSubject: 3, reuse: false })
    const token = await acme.clientToken()
    const answers = await times(8, (n) => (n % 2 === 0 ? acme.ice(token) : acme.generate({ customIdentifier: 'ann' })))
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(3)
    expect(await tenantSql('acme', 'SELECT count(*) AS n FROM subjects')).toEqual([{ n: 1 }])
  })
})

const full = { ...AMPLE, maxLiveCredentials: 3, maxLiveCredentialsPerSubject: 2 }

describe('G8: freed places under a limit', () => {
  it('G8: A place under a limit is free at most a second after a credential has expired, and not before', async () => {
    const acme = await newIssuer({ ...full, maxLiveCredentials: 2 })
    passTime(2 * MINUTE_MS)
    const mint = (ttl: number) => acme.generate({ customIdentifier: 'ann', ttl })
    expectOutcome(await mint(60), '201')
    expectOutcome(await mint(120), '201')
    passTime(60 * SECOND_MS - 1)
    expect((await mint(60)).status).toBe(429)
    passTime(SECOND_MS)
    expectOutcome(await mint(60), '201')
    expect((await mint(60)).status).toBe(429)
    passTime(61 * SECOND_MS)
    expect(tally(await times(4, () => mint(60)))).toEqual({ '201': 2, '429 31019': 2 })
  })

  it('G8: A place under a limit is free at once when a credential is revoked', async () => {
    const acme = await newIssuer(full)
    const mint = (customIdentifier: string) => acme.generate({ customIdentifier })
    expect(tally(await times(3, (n) => mint(`subject-${n}`)))).toEqual({ '201': 3 })
    expectOutcome(await mint('ann'), TENANT_LIMIT)
    await acme.revocation({ subject: 'subject-1' })
    expectOutcome(await mint('ann'), '201')
    expectOutcome(await mint('ann'), TENANT_LIMIT)
  })

  it.each([
    ['refuses', { kind: 'status', status: 403 }],
    ['asks to wait', { kind: 'rate-limit' }],
    ['answers nonsense', { kind: 'shape', shape: 'html' }],
  ] as const)('G8: A mint that fails because upstream %s takes no place under a limit', async (_name, fault) => {
    const acme = await newIssuer({ ...full, maxLiveCredentials: 1, maxMintsPerMinute: 1 })
    await emulator.fault({ operation: 'generate-ice-servers', fault, times: 3 })
    for (let round = 0; round < 3; round++)
      expect((await acme.generate({ customIdentifier: 'ann' })).status).toBeGreaterThan(500)
    expectOutcome(await acme.generate({ customIdentifier: 'ann' }), '201')
    expectOutcome(await acme.generate({ customIdentifier: 'bob' }), TENANT_LIMIT)
  })
})

describe('G8: limits after a restart', () => {
  it('G8: After a restart the object counts as many live credentials as before', async () => {
    const acme = await newIssuer(full)
    expect(tally(await times(3, (n) => acme.generate({ customIdentifier: `s-${n % 2}` })))).toEqual({ '201': 3 })
    await killObjects()
    expectOutcome(await acme.generate(), TENANT_LIMIT)
    await acme.revocation({ all: true })
    await killObjects()
    expect(tally(await times(4, () => acme.generate()))).toEqual({ '201': 3, [TENANT_LIMIT]: 1 })
  })

  it('G8: After a restart the object counts the mints of the last minute, also of expired credentials', async () => {
    const acme = await newIssuer({ ...AMPLE, maxMintsPerMinute: 3 })
    passTime(2 * MINUTE_MS)
    expect(tally(await times(3, () => acme.generate({ ttl: 5 })))).toEqual({ '201': 3 })
    passTime(MINUTE_MS - 1)
    await tenantSql('acme', "UPDATE jobs SET due = 1 WHERE kind = 'prune'")
    await runJobs('acme')
    await killObjects()
    expectOutcome(await acme.generate(), TENANT_LIMIT)
    passTime(1)
    expectOutcome(await acme.generate(), '201')
  })

  it('G8: After a restart the object counts the mints of the last minute, also a slow one stored late', async () => {
    const acme = await newIssuer({ ...AMPLE, maxMintsPerMinute: 2 })
    passTime(2 * MINUTE_MS)
    await emulator.hold('generate-ice-servers', 'slow')
    const slow = acme.generate()
    await emulator.untilHeld('slow')
    passTime(4 * SECOND_MS)
    expectOutcome(await acme.generate(), '201')
    await emulator.release('slow')
    expectOutcome(await slow, '201')
    passTime(57 * SECOND_MS)
    await killObjects()
    expect(tally(await times(2, () => acme.generate()))).toEqual({ '201': 1, [TENANT_LIMIT]: 1 })
  })
})
