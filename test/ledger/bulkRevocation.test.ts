/** G6 and G15: revoking everything, or a whole TURN key, on a large ledger: at once for callers, in bounded steps for rows. */
import { runInDurableObject } from 'cloudflare:test'
import { describe, expect, it } from 'vitest'
import { expectStatus, newTurnKey } from '../support/broker/broker.ts'
import { HOUR_MS, MINUTE_MS, passTime, SECOND_MS, until } from '../support/broker/clock.ts'
import { emulator } from '../support/broker/upstream.ts'
import { filledSubject, fillLedger } from '../support/storage/largeLedger.ts'
import { meterSql, type SqlCost } from '../support/storage/sqlMeter.ts'
import { runJobs, tenantStub } from '../support/storage/storage.ts'
import { tenantSql } from '../support/storage/tenantRows.ts'
import { expectOutcome, type Issuer, killObjects, newIssuer, usernameIn } from '../support/tenants/issuing.ts'

const ROWS = 1_200
const POLICY = { maxLiveCredentials: 100_000, maxTurnKeys: 5 }

/** A tenant with `ROWS` live credentials, half of each of two keys. No alarm comes by itself any more. */
async function newLargeIssuer() {
  const acme = await newIssuer(POLICY)
  const other = await newTurnKey(acme.broker, acme)
  await acme.clientToken() // the first call, so that nothing else starts when the ledger is filled
  passTime(2 * MINUTE_MS)
  await fillLedger('acme', { keys: [acme.uid, other], count: ROWS, expiresAt: Date.now() + HOUR_MS })
  return { ...acme, other }
}

const iceUsername = async (acme: Issuer, subject: string): Promise<string> => {
  const answer = await acme.ice(await acme.clientToken(subject))
  expectStatus(answer, 201)
  return String(usernameIn(answer))
}

const liveCount = async ({ broker, token }: Issuer): Promise<number> => {
  const answer = await broker.call('GET', '/v1/tenants/acme', token)
  expectStatus(answer, 200)
  return answer.json.counts.liveCredentials
}

const statesOf = async (): Promise<Record<string, number>> =>
  Object.fromEntries(
    (await tenantSql('acme', 'SELECT state, count(*) AS n FROM credentials GROUP BY state')).map((row) => [
      String(row.state),
      Number(row.n),
    ]),
  )

async function metered(work: () => Promise<unknown>): Promise<SqlCost> {
  const stub = tenantStub('acme')
  const meter = await runInDurableObject(stub, (_, { storage }) => meterSql(storage.sql, 'of this object'))
  await work()
  return runInDurableObject(stub, () => meter.stop())
}

const list = async ({ broker, token }: Issuer, query = '') => {
  const answer = await broker.call('GET', `/v1/tenants/acme/credentials?limit=100${query}`, token)
  expectStatus(answer, 200)
  return answer.json.items as { id: string; keyId: string }[]
}

describe('G6: a revocation of everything on a large ledger', () => {
  it('G15: A revocation of everything touches no row of a large ledger when it is ordered', async () => {
    const acme = await newLargeIssuer()
    expect(await liveCount(acme)).toBe(ROWS)
    const cost = await metered(async () => {
      expect(await acme.revocation({ all: true })).toMatchObject({ matched: ROWS, pending: ROWS, state: 'running' })
    })
    expect(cost.rowsWritten).toBeLessThan(60)
    expect(cost.rowsRead).toBeLessThan(150)
    expect(await statesOf()).toEqual({ live: ROWS })
  })

  it('G6: A revocation of everything hides all that was issued before it, also after a restart, and nothing issued later', async () => {
    const acme = await newLargeIssuer()
    await acme.revocation({ all: true })
    for (const restart of [false, true]) {
      if (restart) await killObjects()
      expect(await liveCount(acme)).toBe(0)
      expect(await list(acme)).toEqual([])
      expect(await list(acme, `&subjectId=${filledSubject(0)}`)).toEqual([])
    }
    const later = await iceUsername(acme, 'ann')
    expect(await liveCount(acme)).toBe(1)
    await killObjects()
    expect(await liveCount(acme)).toBe(1)
    expect(await list(acme)).toHaveLength(1)
    expect(await iceUsername(acme, 'ann')).toBe(later)
  })

  it('G6: A revocation of everything is not answered with a credential that its subject had before', async () => {
    const acme = await newLargeIssuer()
    const before = await iceUsername(acme, 'ann')
    await acme.revocation({ all: true })
    // Neither reused nor, in an outage, handed out as the one that is left.
    expect(await iceUsername(acme, 'ann')).not.toBe(before)
    await acme.revocation({ all: true })
    await emulator.fault({ operation: 'generate-ice-servers', fault: { kind: 'status', status: 500 }, times: 'always' })
    expect(usernameIn(await acme.ice(await acme.clientToken('ann')))).toBeUndefined()
  })

  it('G15: The rows of a bulk revocation are marked by a job, 500 a step, and their passwords erased', async () => {
    const acme = await newLargeIssuer()
    await emulator.fault({ operation: 'revoke', fault: { kind: 'status', status: 500 }, times: 'always' })
    await acme.revocation({ all: true })
    for (const marked of [500, 1_000]) {
      passTime(MINUTE_MS)
      const cost = await metered(() => runJobs('acme'))
      expect(await statesOf()).toEqual({ live: ROWS - marked, revoking: marked })
      expect(cost.rowsRead).toBeLessThanOrEqual(500 * 4 + 500)
      expect(await liveCount(acme)).toBe(0)
    }
    for (let step = 0; step < 3; step++) {
      passTime(MINUTE_MS)
      await runJobs('acme')
    }
    expect(await statesOf()).toEqual({ revoking: ROWS })
    expect(await tenantSql('acme', 'SELECT * FROM bulk_revocations')).toEqual([])
    expect(await tenantSql('acme', 'SELECT 1 FROM credentials WHERE sealed IS NOT NULL')).toEqual([])
  })

  it('G6: A bulk revocation counts what Cloudflare confirmed, what expired, and is done at the last expiry', async () => {
    const acme = await newLargeIssuer()
    await emulator.fault({ operation: 'revoke', fault: { kind: 'status', status: 500 }, times: 'always' })
    await iceUsername(acme, 'ann') // a tenant that mints prunes
    const { id } = await acme.revocation({ all: true })
    const overlapping = await acme.revocation({ keyId: acme.uid })
    expect(overlapping).toMatchObject({ matched: ROWS / 2 + 1, pending: ROWS / 2 + 1 })
    expect(await acme.progress(id)).toMatchObject({ matched: ROWS + 1, revoked: 0, expired: 0, state: 'running' })
    passTime(HOUR_MS + 3 * SECOND_MS)
    const ended = { revoked: 0, pending: 0, state: 'done' }
    expect(await acme.progress(id)).toMatchObject({ ...ended, expired: ROWS + 1 })
    expect(await acme.progress(overlapping.id)).toMatchObject({ ...ended, expired: ROWS / 2 + 1 })
    passTime(2 * MINUTE_MS)
    for (let round = 0; round < 4; round++) {
      await runJobs('acme')
      passTime(2 * SECOND_MS)
    }
    expect(await tenantSql('acme', `SELECT expired FROM revocations WHERE id = '${id}'`)).toEqual([
      { expired: ROWS + 1 },
    ])
  })
})

describe('G6: a revocation of one TURN key on a large ledger', () => {
  it('G6: A revocation of one TURN key leaves those of the other key live', async () => {
    const acme = await newLargeIssuer()
    expect(await acme.revocation({ keyId: acme.other })).toMatchObject({ matched: ROWS / 2 })
    for (let step = 0; step < 4; step++) {
      expect(await liveCount(acme)).toBe(ROWS / 2)
      expect((await list(acme)).every(({ keyId }) => keyId === acme.uid)).toBe(true)
      await killObjects()
      passTime(MINUTE_MS)
      await runJobs('acme')
    }
    expect(await statesOf()).toMatchObject({ live: ROWS / 2 })
  })

  it('G6: A credential that is revoked while a bulk revocation is carried out goes before the rest', async () => {
    const acme = await newLargeIssuer()
    const mallory = await iceUsername(acme, 'mallory')
    await acme.revocation({ keyId: acme.other })
    passTime(MINUTE_MS)
    await runJobs('acme')
    const { id } = await acme.revocation({ subject: 'mallory' })
    await emulator.clearLog()
    await runJobs('acme')
    const [first] = await emulator.log('revoke')
    expect(first?.path).toContain(mallory)
    expect(await acme.progress(id)).toMatchObject({ revoked: 1, state: 'done' })
  })
})

it('At most 20 revocations of a whole TURN key or tenant wait at once; the next is a 409, one of a subject is not', async () => {
  const acme = await newLargeIssuer()
  for (let n = 0; n < 20; n++) await acme.revocation({ all: true })
  expectOutcome(await acme.post('/revocations', { all: true }), '409 conflict')
  expectOutcome(await acme.post('/revocations', { keyId: acme.uid }), '409 conflict')
  expectOutcome(await acme.post('/revocations', { subject: 'ann' }), '202')
})

describe('a revocation of many', () => {
  it('A revocation of many uses two idle connections for mints beside its own, and leaves one for the next mint', async () => {
    const acme = await newIssuer({ maxLiveCredentialsPerSubject: 100 })
    for (let n = 0; n < 8; n++) expectStatus(await acme.generate({ customIdentifier: 'ann' }), 201)
    await emulator.hold('revoke', 'revoking', { times: 'always' })
    const { id } = await acme.revocation({ subject: 'ann' })
    await emulator.untilHeld('revoking', { count: 3 })
    expectStatus(await acme.generate({ customIdentifier: 'bob' }), 201)
    expect(await emulator.log('revoke')).toHaveLength(3)
    await emulator.clearFaults()
    await emulator.release('revoking')
    await until('the revocation is done', async () => (await acme.progress(id)).state === 'done')
  })

  it('A revocation of many uses its own connection alone while mints take theirs', async () => {
    const acme = await newIssuer({ maxLiveCredentialsPerSubject: 100 })
    for (let n = 0; n < 8; n++) expectStatus(await acme.generate({ customIdentifier: 'ann' }), 201)
    await emulator.hold('generate-ice-servers', 'minting', { times: 2 })
    const mints = [1, 2].map((n) => acme.generate({ customIdentifier: `s-${n}` }))
    await emulator.untilHeld('minting', { count: 2 })
    await emulator.hold('revoke', 'revoking', { times: 1 })
    await acme.revocation({ subject: 'ann' })
    await emulator.untilHeld('revoking')
    await scheduler.wait(100)
    expect(await emulator.log('revoke')).toHaveLength(1)
    await emulator.release('revoking')
    await emulator.release('minting')
    await Promise.all(mints)
  })
})
