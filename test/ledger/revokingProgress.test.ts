/** G6: a revocation is done only after upstream's 204; until then it is retried, until the credential expires. */

import { describe, expect, it } from 'vitest'
import type { FaultOrderInput } from '../../emulator/client.ts'
import type { Answer } from '../support/broker/answer.ts'
import { expectStatus } from '../support/broker/broker.ts'
import { MINUTE_MS, passTime, SECOND_MS, until } from '../support/broker/clock.ts'
import { emulator } from '../support/broker/upstream.ts'
import { runJobs } from '../support/storage/storage.ts'
import { breakAudit, repairAudit, tenantSql } from '../support/storage/tenantRows.ts'
import {
  credentialRows,
  expectOutcome,
  type Issuer,
  killObjects,
  newIssuer,
  usable,
  usernameIn,
} from '../support/tenants/issuing.ts'

type Fault = FaultOrderInput['fault']

/** From here on jobs run by hand only. */
const stopClock = () => passTime(2 * MINUTE_MS)

async function mints(acme: Issuer, ...subjects: string[]): Promise<string[]> {
  const answers: Answer[] = []
  for (const customIdentifier of subjects) answers.push(await acme.generate({ customIdentifier, ttl: 3_600 }))
  return answers.map((answer) => String(usernameIn(answer)))
}

const failRevoking = (fault: Fault, times: number | 'always' = 1) =>
  emulator.fault({ operation: 'revoke', fault, times })

async function runJobsOnce(): Promise<void> {
  passTime(31 * SECOND_MS)
  await runJobs('acme')
}

const faults: [string, Fault, number][] = [
  ['500 ten times', { kind: 'status', status: 500 }, 10],
  ['500 although it was done', { kind: 'status', status: 500, when: 'after' }, 1],
  ['a reset before the body', { kind: 'reset', at: 'before-body' }, 3],
  ['a reset after it was done', { kind: 'reset', at: 'after-body' }, 1],
  ['200 with a body', { kind: 'shape', shape: 'success-false' }, 2],
  ['200 without a body', { kind: 'shape', shape: 'empty' }, 2],
  ['404 as HTML', { kind: 'status', status: 404, body: 'html' }, 2],
  ['401', { kind: 'echo', status: 401 }, 2],
  ['a request to wait an hour', { kind: 'rate-limit', dressing: 'retry-after-hour' }, 2],
  ['a redirect', { kind: 'redirect', location: '/elsewhere' }, 2],
]

describe('G6: answers of upstream to a revocation', () => {
  it.each(faults)(
    'G6: A revocation that upstream answers with %s is running until the 204',
    async (_name, fault, times) => {
      const acme = await newIssuer()
      const [username] = await mints(acme, 'ann')
      stopClock()
      await failRevoking(fault, times)
      const { id, ...created } = await acme.revocation({ all: true })
      expect(created).toMatchObject({ matched: 1, revoked: 0, pending: 1, expired: 0, state: 'running' })
      for (let round = 0; round < times; round++) {
        await runJobsOnce()
        expect(await acme.progress(id)).toMatchObject({ revoked: 0, pending: 1, state: 'running' })
        expect(await credentialRows()).toMatchObject([{ username, state: 'revoking', sealed: null }])
      }
      await runJobsOnce()
      expect(await acme.progress(id)).toMatchObject({ matched: 1, revoked: 1, pending: 0, expired: 0, state: 'done' })
      expect(await usable()).toEqual([])
      expect(await emulator.log('revoke')).toHaveLength(times + 1)
    },
  )

  it('G6: A revocation that upstream leaves unanswered is running until the 204', async () => {
    const acme = await newIssuer()
    await mints(acme, 'ann')
    stopClock()
    await failRevoking({ kind: 'hang', when: 'before' })
    const { id } = await acme.revocation({ all: true })
    await runJobsOnce()
    expect(await acme.progress(id)).toMatchObject({ revoked: 0, pending: 1, state: 'running' })
    await runJobsOnce()
    expect(await acme.progress(id)).toMatchObject({ revoked: 1, state: 'done' })
    expect(await usable()).toEqual([])
  })
})

describe('G6: a revocation', () => {
  it('G6: A revocation that upstream never confirms ends, and says so, when the credentials have expired', async () => {
    const acme = await newIssuer()
    stopClock()
    for (const customIdentifier of ['ann', 'ann', 'bob']) await acme.generate({ customIdentifier, ttl: 600 })
    await failRevoking({ kind: 'status', status: 500 }, 'always')
    const { id } = await acme.revocation({ all: true })
    await runJobsOnce()
    expect(await acme.progress(id)).toMatchObject({ matched: 3, revoked: 0, pending: 3, expired: 0, state: 'running' })
    passTime(570 * SECOND_MS)
    await runJobs('acme')
    const ended = { matched: 3, revoked: 0, pending: 0, expired: 3, state: 'done' }
    expect(await acme.progress(id)).toMatchObject(ended)
    // The rows are pruned later, and are not counted a second time.
    expect(await credentialRows()).toHaveLength(3)
    const asked = (await emulator.log('revoke')).length
    passTime(60 * MINUTE_MS)
    await runJobs('acme')
    expect(await credentialRows()).toEqual([])
    expect(await emulator.log('revoke')).toHaveLength(asked)
    expect(await acme.progress(id)).toMatchObject(ended)
  })

  it('G6: A revocation is retried by its job until it is done, without another request', async () => {
    const acme = await newIssuer()
    await mints(acme, 'ann', 'bob')
    await failRevoking({ kind: 'status', status: 500 })
    const { id } = await acme.revocation({ all: true })
    await until('the revocation is done', async () => (await acme.progress(id)).state === 'done')
    expect(await usable()).toEqual([])
  })

  it('G6: A revocation goes on after the object died', async () => {
    const acme = await newIssuer()
    await mints(acme, 'ann', 'bob')
    stopClock()
    const { id } = await acme.revocation({ all: true })
    await killObjects()
    await runJobsOnce()
    expect(await acme.progress(id)).toMatchObject({ matched: 2, revoked: 2, state: 'done' })
    expect(await usable()).toEqual([])
  })

  it('G6: A revocation does not wait for a credential that fails: the others are revoked first', async () => {
    const acme = await newIssuer({ maxLiveCredentialsPerSubject: 100 })
    const usernames = await mints(acme, ...Array<string>(53).fill('ann'))
    stopClock()
    await failRevoking({ kind: 'status', status: 500 }, 50)
    const { id } = await acme.revocation({ subject: 'ann' })
    await runJobsOnce()
    expect(await acme.progress(id)).toMatchObject({ matched: 53, revoked: 0, pending: 53 })
    await runJobsOnce()
    expect(await acme.progress(id)).toMatchObject({ matched: 53, revoked: 50, pending: 3 })
    const next = (await emulator.log('revoke')).slice(50, 53).map(({ path }) => path.split('/').at(-2))
    expect(next).toEqual(usernames.slice(50))
    await runJobsOnce()
    expect(await acme.progress(id)).toMatchObject({ matched: 53, revoked: 53, state: 'done' })
  })

  it('G6: A revocation revokes the selected credentials and no others', async () => {
    const acme = await newIssuer()
    const [older, newer, other] = await mints(acme, 'ann', 'ann', 'bob')
    stopClock()
    const [, , row] = await credentialRows()
    const { id } = await acme.revocation({ subject: 'ann' })
    await runJobsOnce()
    expect(await acme.progress(id)).toMatchObject({ matched: 2, revoked: 2, state: 'done' })
    expect(await usable()).toEqual([other])
    expect(
      (await emulator.state()).credentials.filter(({ revoked }) => revoked).map(({ username }) => username),
    ).toEqual([older, newer])
    const last = await acme.revocation({ credentialId: row?.id })
    expect(last).toMatchObject({ selector: { credentialId: row?.id }, matched: 1 })
    await runJobsOnce()
    expect(await usable()).toEqual([])
    expect(await acme.revocation({ all: true })).toMatchObject({ matched: 0, state: 'done' })
    expect(await acme.revocation({ subject: 'nobody' })).toMatchObject({ selector: { subjectId: null }, matched: 0 })
  })

  it('G6: A revocation is found again by its Idempotency-Key, which is refused with another body', async () => {
    const acme = await newIssuer()
    await mints(acme, 'ann')
    stopClock()
    const headers = { 'idempotency-key': 'once' }
    const first = await acme.revocation({ subject: 'ann' }, headers)
    await mints(acme, 'ann')
    expect(await acme.revocation({ subject: 'ann' }, headers)).toEqual(first)
    await runJobsOnce()
    expect(await acme.revocation({ subject: 'ann' }, headers)).toEqual({
      ...first,
      revoked: 1,
      pending: 0,
      state: 'done',
    })
    expect(await usable()).toHaveLength(1)
    expectOutcome(await acme.post('/revocations', { all: true }, headers), '422 idempotency_mismatch')
    expect(await acme.revocation({ all: true }, { 'idempotency-key': 'twice' })).toMatchObject({ matched: 1 })
  })

  it('G6: Overlapping revocations each count a shared credential, and end when their credentials are revoked', async () => {
    const acme = await newIssuer()
    await mints(acme, 'ann', 'ann', 'bob')
    stopClock()
    await failRevoking({ kind: 'status', status: 500 }, 3)
    const ofAnn = await acme.revocation({ subject: 'ann' })
    const ofAll = await acme.revocation({ all: true })
    expect([ofAnn.matched, ofAll.matched]).toEqual([2, 3])
    await runJobsOnce()
    expect(await acme.progress(ofAnn.id)).toMatchObject({ revoked: 0, pending: 2, state: 'running' })
    expect(await acme.progress(ofAll.id)).toMatchObject({ revoked: 0, pending: 3, state: 'running' })
    await runJobsOnce()
    expect(await acme.progress(ofAnn.id)).toMatchObject({ matched: 2, revoked: 2, state: 'done' })
    expect(await acme.progress(ofAll.id)).toMatchObject({ matched: 3, revoked: 3, state: 'done' })
    expect(await emulator.log('revoke')).toHaveLength(6)
    expect(await tenantSql('acme', 'SELECT * FROM revocation_targets')).toEqual([])
  })

  it('G6: A revocation that cannot be stored is refused, and an unstored confirmation is repeated', async () => {
    const acme = await newIssuer()
    await mints(acme, 'ann')
    stopClock()
    await breakAudit('acme')
    expectOutcome(await acme.post('/revocations', { all: true }), '503 storage_failed')
    await repairAudit('acme')
    const { id } = await acme.revocation({ all: true })
    await breakAudit('acme')
    await runJobsOnce()
    expect(await acme.progress(id)).toMatchObject({ revoked: 0, pending: 1, state: 'running' })
    await repairAudit('acme')
    passTime(5 * MINUTE_MS)
    await runJobs('acme')
    expect(await acme.progress(id)).toMatchObject({ revoked: 1, state: 'done' })
  })
})

describe("G6: Cloudflare's revoke call", () => {
  const revoke = (acme: Issuer, username: string) =>
    acme.broker.call('POST', `/v1/turn/keys/${acme.uid}/credentials/${username}/revoke`, acme.token)

  it("G6: Cloudflare's revoke call is answered 204 only after upstream's 204, and until then the job carries on", async () => {
    const acme = await newIssuer()
    const [username = ''] = await mints(acme, 'ann')
    stopClock()
    await failRevoking({ kind: 'status', status: 500 }, 2)
    expectOutcome(await revoke(acme, username), '502 31023')
    expectOutcome(await revoke(acme, username), '502 31023')
    expect(await credentialRows()).toMatchObject([{ state: 'revoking' }])
    await runJobsOnce()
    expect(await usable()).toEqual([])
    expectStatus(await revoke(acme, username), 204)
    expect(await emulator.log('revoke')).toHaveLength(3)
  })
})
