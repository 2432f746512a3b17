/** G15: jobs run independently: none holds another, none runs twice at once, and one that dies with its object runs again. */
import { runInDurableObject } from 'cloudflare:test'
import { describe, expect, it } from 'vitest'
import { Jobs } from '../../src/storage/jobs.ts'
import { expectStatus, newBroker, newTenant } from '../support/broker/broker.ts'
import { MINUTE_MS, passTime, until } from '../support/broker/clock.ts'
import { emulator } from '../support/broker/upstream.ts'
import { runJobs, tenantStub } from '../support/storage/storage.ts'
import { accountSql, jobRows, tenantSql } from '../support/storage/tenantRows.ts'
import { killObjects, newIssuer } from '../support/tenants/issuing.ts'

/** A queue of its own over a tenant's storage, with jobs of these kinds. */
async function withQueue<T>(work: (jobs: Jobs<string>, storage: DurableObjectStorage) => Promise<T>): Promise<T> {
  await newTenant(newBroker(), 'acme')
  passTime(2 * MINUTE_MS)
  await runJobs('acme')
  return runInDurableObject(tenantStub('acme'), (_, { storage }) => work(new Jobs(storage, () => Date.now()), storage))
}

const never = () => new Promise<never>(() => undefined)

describe('G15: a job that takes long', () => {
  it('G15: A revocation that Cloudflare does not answer holds up no report to the Account', async () => {
    const acme = await newIssuer()
    expectStatus(await acme.generate(), 201)
    await until(
      'the first reports are there',
      async () => (await tenantSql('acme', "SELECT 1 FROM jobs WHERE kind = 'mirror'")).length === 0,
    )
    await emulator.hold('revoke', 'silent')
    await acme.revocation({ all: true })
    await emulator.untilHeld('silent')
    const renamed = await acme.broker.admin('PATCH', '/tenants/acme', { name: 'Renamed' })
    expectStatus(renamed, 200)
    await until('the Account has the name', async () => {
      const [row] = await accountSql("SELECT name FROM tenants WHERE id = 'acme'")
      return row?.name === 'Renamed'
    })
    await emulator.release('silent')
  })

  it('G15: A job that takes long lets its alarm end after a second, is not started again, and others start', async () => {
    const seen = await withQueue(async (jobs) => {
      const runs: string[] = []
      const slow = Promise.withResolvers<'done'>()
      const handlers = {
        slow: () => {
          runs.push('slow')
          return slow.promise
        },
        quick: async () => {
          runs.push('quick')
          return 'done' as const
        },
      }
      jobs.put('slow', '', 0)
      await jobs.run(handlers)
      jobs.put('quick', '', 0)
      await jobs.run(handlers)
      const meanwhile = jobs.underWay
      slow.resolve('done')
      await slow.promise
      await jobs.run(handlers)
      return { runs, meanwhile, after: jobs.underWay }
    })
    expect(seen).toEqual({ runs: ['slow', 'quick'], meanwhile: 1, after: 0 })
  })

  it('G15: At most ten jobs of a kind are under way, and another kind starts beside them', async () => {
    const started = await withQueue(async (jobs) => {
      const kinds: string[] = []
      const handler = (kind: string) => () => {
        kinds.push(kind)
        return never()
      }
      for (let n = 0; n < 30; n++) jobs.put('many', String(n), 0)
      jobs.put('one', '', 1)
      const handlers = { many: handler('many'), one: handler('one') }
      await jobs.run(handlers)
      await jobs.run(handlers)
      return kinds
    })
    expect(started.filter((kind) => kind === 'many')).toHaveLength(10)
    expect(started).toContain('one')
  })

  it('G16: A job that has outlived its alarm has another within half a minute, should its object end', async () => {
    const at = await withQueue(async (jobs, storage) => {
      await storage.deleteAlarm()
      jobs.put('slow', '', 0)
      await jobs.run({ slow: never })
      return storage.getAlarm()
    })
    expect(at).toBe(Date.now() + 30_000)
  })

  it('G16: A job whose object ends while it runs is run again by the object that starts', async () => {
    const acme = await newIssuer()
    expectStatus(await acme.generate(), 201)
    await emulator.hold('revoke', 'silent')
    const { id } = await acme.revocation({ all: true })
    await emulator.untilHeld('silent')
    await killObjects()
    await emulator.release('silent')
    await until('the revocation is done', async () => (await acme.progress(id)).state === 'done')
  })
})

describe('the wait of a job', () => {
  it('Only failures in a row lengthen the wait of a job: a run that comes back by itself starts again at two seconds', async () => {
    const waits = await withQueue(async (jobs) => {
      const outcomes = ['retry', 'retry', { againAt: 0 }, 'retry'] as const
      const seen: number[] = []
      for (const outcome of outcomes) {
        jobs.ensure('job', '', 0)
        await jobs.run({ job: async () => outcome })
        seen.push(Math.max(0, (jobs.dueAt('job', '') ?? 0) - Date.now()))
        passTime(MINUTE_MS)
      }
      return seen
    })
    expect(waits).toEqual([2_000, 4_000, 0, 2_000])
  })

  it('A revocation waits half a second after a run with one failure, and longer only while every call fails', async () => {
    const acme = await newIssuer({ maxLiveCredentialsPerSubject: 100 })
    for (let n = 0; n < 3; n++) expectStatus(await acme.generate({ customIdentifier: 'ann' }), 201)
    passTime(2 * MINUTE_MS)
    const pauses: number[] = []
    await acme.revocation({ subject: 'ann' })
    const run = async (failures: number) => {
      await emulator.fault({ operation: 'revoke', fault: { kind: 'status', status: 500 }, times: failures })
      await runJobs('acme')
      const job = (await jobRows('acme')).find(({ kind }) => kind === 'revoke-credentials')
      pauses.push(Number(job?.due) - Date.now())
      passTime(MINUTE_MS)
    }
    for (const failures of [3, 3, 3, 2, 2]) await run(failures)
    expect(pauses).toEqual([500, 1_000, 2_000, 500, 500])
  })
})
