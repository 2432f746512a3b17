/** G11: the Account breaks, hangs or is overloaded, or KV hangs: every answer is in time and in the error table. */
import { env } from 'cloudflare:workers'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { Account } from '../../src/account/account.ts'
import { CacheWriter } from '../../src/cache/writer.ts'
import { Semaphore } from '../../src/concurrency/semaphore.ts'
import { expectStatus, keysPath, newBroker, newTenant, newTurnKey } from '../support/broker/broker.ts'
import { MINUTE_MS, passTime, within } from '../support/broker/clock.ts'
import { expectFailure } from '../support/broker/errors.ts'
import { countAsked, emulator, liveKeys } from '../support/broker/upstream.ts'
import { runJobs } from '../support/storage/storage.ts'
import { jobRows, keyRows } from '../support/storage/tenantRows.ts'

afterEach(() => {
  vi.restoreAllMocks()
})

function lost(flags: object = {}): Error {
  const error = Object.assign(new Error('Network connection lost.'), flags)
  error.stack = String(error) // errors of the runtime have no stack trace
  return error
}
const never = () => new Promise<never>(() => undefined)

const breakages = [
  ['is gone', () => Promise.reject(lost()), 'storage_failed'],
  ['hangs', never, 'broker_busy'],
] as const

describe.each(breakages)('G11: an Account that %s', (name, broken, code) => {
  it(`G11: An Account that ${name} refuses a creation before anything is created`, async () => {
    const broker = newBroker()
    const acme = await newTenant(broker, 'acme')
    vi.spyOn(Account.prototype, 'spend').mockImplementation(broken)
    expectFailure(await broker.call('POST', keysPath('acme'), acme.token, {}), code)
    expect(await countAsked('create')).toBe(0)
    expect(await keyRows('acme')).toEqual([])
  })

  it(`G11: An Account that ${name} after the POST leaves a doubtful creation, which is settled`, async () => {
    const broker = newBroker()
    const acme = await newTenant(broker, 'acme')
    const claim = vi.spyOn(Account.prototype, 'claimTurnKey').mockImplementation(broken)
    expectFailure(await broker.call('POST', keysPath('acme'), acme.token, {}), 'outcome_unknown')
    expect(await keyRows('acme')).toMatchObject([{ state: 'unknown' }])
    claim.mockRestore()
    passTime(1.1 * MINUTE_MS)
    await runJobs('acme')
    expect(await liveKeys()).toEqual([])
  })

  it(`G11: An Account that ${name} leaves a rename and a deletion to their jobs`, async () => {
    const broker = newBroker()
    const acme = await newTenant(broker, 'acme')
    const [one, two] = [await newTurnKey(broker, acme), await newTurnKey(broker, acme)]
    const spend = vi.spyOn(Account.prototype, 'spend').mockImplementation(broken)
    const answers = await Promise.all([
      broker.call('PUT', keysPath('acme', one), acme.token, { name: 'second' }),
      broker.call('DELETE', keysPath('acme', two), acme.token),
    ])
    for (const answer of answers) expectFailure(answer, code)
    spend.mockRestore()
    passTime(MINUTE_MS)
    await runJobs('acme')
    expect(await keyRows('acme')).toMatchObject([{ name: 'second' }, { state: 'deleted' }])
    expect((await liveKeys()).map((key) => key.uid)).toEqual([one])
    expect(await jobRows('acme')).toEqual([])
  })
})

it('G11: An Account that hangs holds up no alarm: other jobs are done, and its own are repeated', async () => {
  const broker = newBroker()
  const acme = await newTenant(broker, 'acme')
  const [one, two] = [await newTurnKey(broker, acme), await newTurnKey(broker, acme)]
  await emulator.fault({ operation: 'delete', fault: { kind: 'status', status: 500 } })
  await broker.call('DELETE', keysPath('acme', one), acme.token)
  await emulator.fault({ operation: 'update', fault: { kind: 'status', status: 500 } })
  await broker.call('PUT', keysPath('acme', two), acme.token, { name: 'second' })
  const mirror = vi.spyOn(Account.prototype, 'reportTenant').mockImplementation(never)
  passTime(MINUTE_MS)
  await runJobs('acme')
  expect(await keyRows('acme')).toMatchObject([{ state: 'deleted' }, { name: 'second' }])
  mirror.mockRestore()
  passTime(MINUTE_MS)
  await runJobs('acme')
  expect(await jobRows('acme')).toEqual([])
})

it('A creation is answered 503 while the Account is overloaded', async () => {
  const broker = newBroker()
  const acme = await newTenant(broker, 'acme')
  vi.spyOn(Account.prototype, 'spend').mockRejectedValue(lost({ overloaded: true }))
  const answer = await broker.call('POST', keysPath('acme'), acme.token, {})
  expectStatus(answer, 503)
})

describe('KV that does not answer', () => {
  it('G11: KV that does not answer holds up no answer: each failed write is handed over to become a job', async () => {
    const failed: string[] = []
    const kv = { put: never } as unknown as KVNamespace // the writer only writes
    const connection = new Semaphore(1, 10)
    const writer = new CacheWriter(kv, { connection, now: () => Date.now(), failed: (key) => failed.push(key) })
    const entry = (n: number) => ({ n, confirmedAt: Date.now() })
    const puts = [writer.put('k', entry(1)), writer.put('k', entry(2)), writer.put('other', entry(3))]
    await within(4_000, 'KV that hangs is given up', Promise.all(puts))
    expect(failed.sort()).toEqual(['k', 'other'])
    await writer.put('k', entry(4))
    expect(failed).toHaveLength(3)
  })

  it('G11: KV that does not answer keeps no creation, rename or deletion from being answered', async () => {
    const broker = newBroker()
    const acme = await newTenant(broker, 'acme')
    const put = vi.spyOn(Object.getPrototypeOf(env.CACHE), 'put').mockImplementation(never)
    const uid = await newTurnKey(broker, acme)
    expectStatus(await broker.call('PUT', keysPath('acme', uid), acme.token, { name: 'second' }), 200)
    expect(put).toHaveBeenCalled()
    expectStatus(await broker.call('DELETE', keysPath('acme', uid), acme.token), 200)
  })
})
