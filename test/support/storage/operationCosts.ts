/**
 * Counts what each operation costs, in the request and later: statements, rows, commits, RPCs, KV operations, calls of
 * Cloudflare and log events; of the Worker, the Tenant and the Account together.
 */
import { runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { expect, vi } from 'vitest'
import type { Answer } from '../broker/answer.ts'
import { expectStatus, keysPath, newBroker } from '../broker/broker.ts'
import { DAY_MS, HOUR_MS, MINUTE_MS, passTime, setClock, until } from '../broker/clock.ts'
import { emulator } from '../broker/upstream.ts'
import { APP, countingBindings, doorsOf, newIssuer } from '../tenants/issuing.ts'
import { runJobs, tenantStub } from './storage.ts'
import { meterStorage } from './storageMeter.ts'
import { tenantSql } from './tenantRows.ts'

const COUNTED = [
  'statements',
  'rowsRead',
  'rowsWritten',
  'alarmsSet',
  'commits',
  'rpcs',
  'kvReads',
  'kvWrites',
  'upstreamCalls',
  'logEvents',
] as const
/** `rpcs`: from the Worker to an object. `alarmsSet`: billed as rows written, and not among `rowsWritten`. */
export type Counts = Record<(typeof COUNTED)[number], number>

export interface OperationCost {
  /** Until the answer, with what the request leaves to `waitUntil`. */
  request: Counts
  /** What jobs do because of it, until its last row is gone; without what a run of a job costs anyway. */
  later: Counts
}

export type World = Awaited<ReturnType<typeof newWorld>>

export interface Operation {
  /** Not measured: what the operation needs. */
  readonly before?: (world: World) => Promise<string>
  /** How long after that it comes. */
  readonly afterMs?: number
  readonly act: (world: World, given: string) => Promise<Answer>
  readonly status: number
}

const [FEW, MANY] = [10, 20]
/** Revoking, expiry, retention of the audit trail, and once more for what that leaves. */
const LATER_MS = [MINUTE_MS, 2 * HOUR_MS, 100 * DAY_MS, 2 * HOUR_MS]

async function newWorld(id: string) {
  const policy = { allowedOrigins: [APP], maxLiveCredentials: 1_000_000, maxLiveCredentialsPerSubject: 1_000 }
  const issuer = await newIssuer({ ...policy, maxMintsPerMinute: 100_000 }, id)
  const { counts, bindings } = countingBindings()
  const broker = newBroker(bindings)
  const doors = doorsOf(broker, issuer)
  let number = 0
  const newName = () => `subject-${number++}`
  const askAsPage = (token: string) => doors.ice(token, undefined, { origin: APP })
  return {
    ...issuer,
    ...doors,
    broker,
    rpc: counts,
    /** A subject that never asked before. */
    newName,
    /** The browser door, as a page asks. */
    askAsPage,
    /** A client token of a new subject. */
    newToken: () => doors.clientToken(newName()),
    /** A client token whose subject has a credential. */
    async tokenWithCredential(): Promise<string> {
      const token = await doors.clientToken(newName())
      expectStatus(await askAsPage(token), 201)
      return token
    },
    /** A client token of a banned subject, which was refused once: that was written down, more of the kind are counted. */
    async tokenOfBanned(): Promise<string> {
      const subject = newName()
      const token = await doors.clientToken(subject)
      const until = new Date(Date.now() + HOUR_MS).toISOString()
      expectStatus(await doors.post('/bans', { subject, until }), 201)
      expectStatus(await askAsPage(token), 403)
      return token
    },
    generateFor: (customIdentifier: string) => doors.generate({ ttl: 3_600, customIdentifier }),
    /** A credential for a server; its id. */
    async credentialId(): Promise<string> {
      expectStatus(await doors.generate({ ttl: 3_600, customIdentifier: newName() }), 201)
      const [row] = await tenantSql(id, 'SELECT id FROM credentials ORDER BY seq DESC LIMIT 1')
      return String(row?.id)
    },
    /** Once a minute an isolate asks for the tenant's snapshot, for all requests: no operation's own cost. */
    async warmUp(): Promise<void> {
      expectStatus(await askAsPage(await doors.clientToken('warm')), 201)
    },
    /** Ids are random: a scan reads the row beyond its last one, unless there is none. So there always is one, at both ends. */
    async keepOuterRows(): Promise<void> {
      for (const customIdentifier of ['first', 'last']) expectStatus(await doors.generate({ customIdentifier }), 201)
      const inTenYears = Date.now() + 3_650 * DAY_MS
      await tenantSql(
        id,
        `UPDATE credentials SET expires_at = ${inTenYears},
           subject_id = CASE seq WHEN (SELECT min(seq) FROM credentials) THEN '!' ELSE '~' END`,
      )
    },
    lookUp: () => broker.call('GET', keysPath(id, issuer.uid), issuer.token),
  }
}

export async function costOf(name: string, operation: Operation): Promise<OperationCost> {
  const world = await newWorld(`costs-of-${name.toLowerCase()}`)
  const { id } = world
  // No alarm comes by itself from here on, and each operation meets the same hours and days, whenever the test runs.
  setClock(Math.ceil(Date.now() / DAY_MS + 1) * DAY_MS)
  await world.keepOuterRows()
  await until('the Account has the report', async () => {
    await runJobs(id)
    return (await tenantSql(id, "SELECT * FROM jobs WHERE kind <> 'prune'")).length === 0
  })
  const prepared = async (times: number): Promise<string[]> => {
    const given: string[] = []
    for (let n = 0; n < times; n++) given.push((await operation.before?.(world)) ?? '')
    if (operation.afterMs !== undefined) passTime(operation.afterMs)
    return given
  }
  const carriedOut = async (times: number) => {
    for (const given of await prepared(times)) expectStatus(await operation.act(world, given), operation.status)
  }
  const measured = async (): Promise<Counts> => {
    const [given = ''] = await prepared(1)
    await runJobs(id) // what became due meanwhile
    await world.warmUp()
    const meter = await startMeter(world)
    expectStatus(await operation.act(world, given), operation.status)
    return meter.stop()
  }
  await carriedOut(3)
  const request = await measured()
  expect(await measured(), `${name}: a second time`).toEqual(request)
  const [all, without] = [await laterEach(world, carriedOut), await laterEach(world, prepared)]
  return { request, later: countsOf((what) => Math.round(all[what] - without[what])) }
}

/** What jobs do later for one more operation. All of a batch happen at one time: what is kept by the hour or day is not theirs, and rounded away. */
async function laterEach(world: World, batch: (times: number) => Promise<unknown>): Promise<Counts> {
  const laterAfter = async (times: number) => {
    await batch(times)
    const meter = await startMeter(world)
    for (const ms of LATER_MS) {
      passTime(ms)
      await runJobs(world.id)
    }
    return meter.stop()
  }
  await laterAfter(1)
  const [few, many] = [await laterAfter(FEW), await laterAfter(MANY)]
  return countsOf((what) => (many[what] - few[what]) / (MANY - FEW))
}

const countsOf = (count: (what: keyof Counts) => number): Counts =>
  Object.fromEntries(COUNTED.map((what) => [what, count(what)])) as Counts // all that is counted

async function startMeter(world: World): Promise<{ stop(): Promise<Counts> }> {
  await emulator.clearLog()
  world.rpc.rpc = 0
  const storage = await runInDurableObject(tenantStub(world.id), (_, state) => meterStorage(state.storage))
  const kv = meterKv()
  const logs = (['log', 'error'] as const).map((level) => vi.spyOn(console, level))
  return {
    async stop() {
      const stored = storage.stop()
      const logEvents = logs.reduce((total, spy) => total + spy.mock.calls.length, 0)
      for (const spy of logs) spy.mockRestore()
      const upstreamCalls = (await emulator.log()).length
      const counts: Counts = { ...stored, ...kv.stop(), rpcs: world.rpc.rpc, upstreamCalls, logEvents }
      return countsOf((what) => counts[what])
    },
  }
}

/** Reads and writes of KV, whoever makes them. */
function meterKv(): { stop(): { kvReads: number; kvWrites: number } } {
  const prototype = Object.getPrototypeOf(env.CACHE) as KVNamespace
  const gets = vi.spyOn(prototype, 'get')
  const puts = vi.spyOn(prototype, 'put')
  return {
    stop() {
      const counts = { kvReads: gets.mock.calls.length, kvWrites: puts.mock.calls.length }
      gets.mockRestore()
      puts.mockRestore()
      return counts
    },
  }
}
