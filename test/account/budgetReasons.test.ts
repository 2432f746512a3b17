/** G9: who pays for a call follows from its reason: what a tenant ordered is its own, also in a job. What is not sent costs nothing. */
import { env } from 'cloudflare:workers'
import { expect, it } from 'vitest'
import { type Broker, expectStatus, keysPath, newBroker, newTenant, newTurnKey } from '../support/broker/broker.ts'
import { MINUTE_MS, passTime, SECOND_MS, setClock, until } from '../support/broker/clock.ts'
import { outcomeOf } from '../support/broker/contract.ts'
import { countAsked, emulator } from '../support/broker/upstream.ts'
import { runJobs } from '../support/storage/storage.ts'
import { accountSql, jobRows, keyRows } from '../support/storage/tenantRows.ts'

const BUCKET_MS = 10 * SECOND_MS

/** A tenant with TURN keys, 6 minutes after their creation, so that its share is whole. */
async function ordering(broker: Broker, { keys, share }: { keys: number; share: number }) {
  const acme = await newTenant(broker, 'acme', { policy: { maxApiCallsPer5Min: 600, maxTurnKeys: 100 } })
  const uids: string[] = []
  for (let n = 0; n < keys; n++) uids.push(await newTurnKey(broker, acme))
  const policy = { maxApiCallsPer5Min: share }
  expectStatus(await broker.admin('PATCH', '/tenants/acme', { policy }), 200)
  setClock(Math.ceil((Date.now() + 6 * MINUTE_MS) / BUCKET_MS) * BUCKET_MS)
  await runJobs('acme')
  await emulator.clearLog()
  const rename = (uid = '', name = crypto.randomUUID()) =>
    broker.call('PUT', keysPath('acme', uid), acme.token, { name })
  const remove = (uid = '') => broker.call('DELETE', keysPath('acme', uid), acme.token)
  return { uids, rename, remove }
}

/** Runs the tenant's jobs every 10 s, for less than the budget's window. */
async function nearlyFiveMinutes(): Promise<void> {
  for (let n = 0; n < 29; n++) {
    passTime(BUCKET_MS)
    await runJobs('acme')
  }
}

/** What was not sent is given back after the answer. */
const untilSpent = (calls: number): Promise<void> =>
  until(`${calls} calls are paid for`, async () => {
    const [row] = await accountSql('SELECT sum(calls) AS calls FROM api_calls')
    return row?.calls === calls
  })

const asked = async () => (await emulator.log()).length

it('G9: A tenant over its share orders no rename and no removal: 429, nothing is stored, and no job carries it out', async () => {
  const { uids, rename, remove } = await ordering(newBroker(), { keys: 4, share: 3 })
  for (const uid of uids.slice(0, 3)) expectStatus(await rename(uid), 200)
  const [before, jobs] = [await keyRows('acme'), await jobRows('acme')]
  for (let n = 0; n < 5; n++) {
    const answers = [await rename(uids[3]), await rename(uids[0]), await remove(uids[3])]
    for (const answer of answers) {
      expect(outcomeOf(answer)).toBe('429 31018')
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
    }
  }
  expect(await keyRows('acme')).toEqual(before)
  expect(await jobRows('acme')).toEqual(jobs)
  await nearlyFiveMinutes()
  expect(await asked()).toBe(3)
  passTime(MINUTE_MS)
  expectStatus(await rename(uids[3]), 200)
  expectStatus(await remove(uids[3]), 200)
})

it('G9: A removal that is ordered goes on though its tenant is over its share, and a repeat of the order says so', async () => {
  const { uids, rename, remove } = await ordering(newBroker(), { keys: 2, share: 2 })
  await emulator.fault({ operation: 'delete', fault: { kind: 'status', status: 500 } })
  const first = await remove(uids[0])
  expect(outcomeOf(first)).toBe('502 31023')
  expectStatus(await rename(uids[1]), 200)
  const repeated = await remove(uids[0])
  expect(outcomeOf(repeated)).toBe('429 31018')
  expect(Number(repeated.headers.get('retry-after'))).toBeGreaterThan(0)
  expect(repeated.json.errors[0].message).toBe(first.json.errors[0].message)
  expect(repeated.json.errors[0].message).toContain('is being carried on')
  expect((await remove(uids[1])).json.errors[0].message).not.toContain('is being carried on')
  await nearlyFiveMinutes()
  await nearlyFiveMinutes()
  expect((await keyRows('acme')).map(({ state }) => state)).toEqual(['deleted', 'active'])
})

it('G9: Jobs that carry out the orders of a tenant stay within its share, and leave the operators theirs', async () => {
  const broker = newBroker()
  const { uids, rename, remove } = await ordering(broker, { keys: 8, share: 10 })
  for (const operation of ['update', 'delete'] as const) {
    await emulator.fault({ operation, fault: { kind: 'status', status: 500 }, times: 'always' })
  }
  for (const uid of uids.slice(0, 4)) expect((await rename(uid)).status).toBe(502)
  for (const uid of uids.slice(4)) expect((await remove(uid)).status).toBe(502)
  await nearlyFiveMinutes()
  expect(await asked()).toBe(10)
  expect(await accountSql('SELECT purpose, sum(calls) AS calls FROM api_calls GROUP BY purpose')).toEqual([
    { purpose: 'tenant', calls: 10 },
  ])
  expectStatus(await broker.call('POST', keysPath('acme'), env.ADMIN_TOKEN, {}), 201)
  // Nothing that was ordered is lost.
  await emulator.clearFaults()
  for (let n = 0; n < 120; n++) {
    passTime(BUCKET_MS)
    await runJobs('acme')
  }
  const rows = (await keyRows('acme')).slice(0, 8)
  expect(rows.map(({ state }) => state)).toEqual([...Array(4).fill('active'), ...Array(4).fill('deleted')])
  expect(rows.every((row) => row.pending_name === null)).toBe(true)
})

it('G9: The deletion of a tenant pays for the calls that are made, not for those that wait for their turn in vain', async () => {
  const broker = newBroker()
  await ordering(broker, { keys: 20, share: 600 })
  await emulator.fault({ operation: 'delete', fault: { kind: 'delay', ms: 500, when: 'before' }, times: 'always' })
  expectStatus(await broker.admin('DELETE', '/tenants/acme?cascade=true'), 202)
  await runJobs('acme')
  const deleted = await countAsked('delete')
  expect(deleted).toBeLessThan(20)
  expect(deleted).toBeGreaterThan(0)
  await untilSpent(deleted)
})

it('G9: A creation that found no place in the queue to Cloudflare takes nothing of the share', async () => {
  const broker = newBroker()
  await ordering(broker, { keys: 0, share: 600 })
  await emulator.hold('create', 'open')
  const create = () => broker.call('POST', keysPath('acme'), env.ADMIN_TOKEN, {})
  const first = create()
  await emulator.untilHeld('open')
  const others = Array.from({ length: 80 }, create)
  const turnedAway = await Promise.race(others)
  expect(outcomeOf(turnedAway)).toBe('503 31024')
  await emulator.release('open')
  const answers = [await first, ...(await Promise.all(others))]
  const made = answers.filter(({ status }) => status === 201).length
  expect(made).toBe(await countAsked('create'))
  await untilSpent(made)
})
