// The official SDK's own repeats of a creation, without an Idempotency-Key, against the running broker: its patience is
// shorter than the broker's, or its connection breaks, while upstream holds, hangs, comes late or resets.
import net, { type AddressInfo } from 'node:net'
import Cloudflare from 'cloudflare'
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { type RunningBroker, startBroker } from '../support/runningBroker.ts'

let broker: RunningBroker
let tenants = 0

beforeAll(async () => {
  broker = await startBroker()
})
beforeEach(() => broker.emulator.reset())
afterAll(() => broker?.stop())

async function newClient(timeout: number, url = broker.url) {
  const { id, token } = await broker.newTenant(`tenant-${++tenants}`, {
    scopes: ['turn_keys:read', 'turn_keys:write', 'turn_keys:reveal'],
    policy: { maxTurnKeys: 5 },
  })
  const client = new Cloudflare({ apiToken: token, baseURL: `${url}/client/v4`, timeout })
  return {
    create: () => client.calls.turn.create({ account_id: id, name: 'first' }),
    /** What was sent before has reached the Tenant: on a machine however busy, later requests are answered after it. */
    arrived: async () => {
      for (let n = 0; n < 3; n++) await broker.admin('GET', `/tenants/${id}`)
    },
  }
}

const posts = async () => (await broker.emulator.log('create')).length
const liveKeys = async () => (await broker.emulator.state()).keys.filter(({ deleted }) => deleted === null)
const creations = () => broker.requests().filter(({ method, route }) => method === 'POST' && route === 'turnKeyCreate')

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 10_000
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`not within 10 s: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** Between the SDK and the broker: passes everything on, until its connections are cut. */
async function cuttable(target: string) {
  const { hostname, port } = new URL(target)
  const open = new Set<net.Socket>()
  let passed = 0
  const server = net.createServer((client) => {
    const behind = net.connect(Number(port), hostname)
    for (const socket of [client, behind]) {
      open.add(socket)
      socket.on('error', () => undefined)
      socket.on('close', () => open.delete(socket))
    }
    client.on('data', (chunk: Buffer) => {
      if (chunk.includes(' HTTP/1.1\r\n')) passed++
    })
    client.pipe(behind)
    behind.pipe(client)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const cut = () => {
    for (const socket of open) socket.destroy()
  }
  onTestFinished(() => {
    cut()
    server.close()
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, // it listens on TCP
    /** How many requests have come so far. */
    passed: () => passed,
    cut,
  }
}

/** What the SDK was given is the one key there is, of one POST. */
async function expectOnly(created: ReturnType<Awaited<ReturnType<typeof newClient>>['create']>): Promise<void> {
  const { uid } = await created
  expect(await posts()).toBe(1)
  expect((await liveKeys()).map((live) => live.uid)).toEqual([uid])
}

describe('an SDK whose request times out', () => {
  it('An SDK that times out while upstream holds the creation repeats it and is given the one key', async () => {
    const between = await cuttable(broker.url)
    const { create, arrived } = await newClient(1_500, between.url)
    await broker.emulator.hold('create', 'open')
    const created = create()
    await broker.emulator.untilHeld('open')
    await until('the SDK has given up once and come again', () => between.passed() >= 2)
    await arrived()
    await broker.emulator.release('open')
    expect((await created).key).toMatch(/^.{64}$/)
    await expectOnly(created)
  })

  it('All attempts of an SDK that times out while upstream hangs are one creation', async () => {
    const { create } = await newClient(700)
    await broker.emulator.fault({ operation: 'create', fault: { kind: 'hang', at: 'before-headers' } })
    await expect(create()).rejects.toBeInstanceOf(Cloudflare.APIConnectionTimeoutError)
    expect(await posts()).toBe(1)
    expect((await liveKeys()).length).toBeLessThanOrEqual(1)
  })
})

describe('a connection between the SDK and the broker that breaks', () => {
  it('A connection between the SDK and the broker that breaks while upstream is asked: the repeat over another is given the one key', async () => {
    const between = await cuttable(broker.url)
    const { create, arrived } = await newClient(20_000, between.url)
    await broker.emulator.hold('create', 'open')
    const created = create()
    await broker.emulator.untilHeld('open')
    between.cut()
    await until('the SDK has come again', () => between.passed() >= 2)
    await arrived()
    await broker.emulator.release('open')
    await expectOnly(created)
  })
})

describe('an upstream that resets', () => {
  it('An upstream that resets is a doubt, which the SDK does not repeat', async () => {
    const { create } = await newClient(20_000)
    const before = creations().length
    await broker.emulator.fault({ operation: 'create', fault: { kind: 'reset', at: 'after-body' } })
    await expect(create()).rejects.toMatchObject({ status: 504 })
    expect(await posts()).toBe(1)
    await until('the request is logged', () => creations().length > before)
    expect(creations().length - before).toBe(1)
  })
})

describe('two equal requests of one SDK at once', () => {
  it('Two equal requests of one SDK at once make two keys, though it repeats both', async () => {
    const between = await cuttable(broker.url)
    const { create, arrived } = await newClient(20_000, between.url)
    await broker.emulator.hold('create', 'open')
    const created = Promise.all([create(), create()])
    await broker.emulator.untilHeld('open') // the other waits for its turn: a Tenant asks for one at a time
    await until('both have come', () => between.passed() >= 2)
    await arrived()
    between.cut()
    await until('the SDK has come again with both', () => between.passed() >= 4)
    await arrived()
    await broker.emulator.release('open')
    const [one, two] = await created
    expect(one.uid).not.toBe(two.uid)
    expect(await posts()).toBe(2)
    expect((await liveKeys()).map((live) => live.uid).sort()).toEqual([one.uid, two.uid].sort())
  })
})
