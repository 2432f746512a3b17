// Load with faults, on real sockets. Short here; `LOAD_SECONDS=60` takes the time and the numbers of a real trial.
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type PlainBroker, startPlainBroker } from '../../../bench/runtime/broker.ts'
import type { EmulatorControl, Operation } from '../../../emulator/client.ts'
import { ERRORS } from '../../../src/errors.ts'
import { residentBytes } from '../support/processes.ts'

const SECONDS = Number(process.env.LOAD_SECONDS ?? 2)
const MINTS = 50 * SECONDS
/** Until the runtime holds what it will hold. */
const WARM_UP = 600
const CREATES = 5 * SECONDS
const FLOOD_A_SECOND = 50
const AT_ONCE = 8
/** What is promised; a few hundred mints, of which one in 250 may meet four faults in a row, cannot tell it from 98 %. */
const PROMISED = 0.99
const LEAST_SUCCESS = MINTS >= 1_000 ? PROMISED : 0.97
/** A heap that lets the engine put nothing off: what is still there after a while is kept, not merely not collected yet. */
const SMALL_HEAP = '--max-heap-size=24'
const TIMEOUT_MS = 60_000 + SECONDS * 12_000
const GROWTH_BYTES = 16 * 1_024 * 1_024

/** Together a quarter of all requests. An order counts only what the older ones left: 1/10, 1/9 of 9/10, 1/16 of 8/10. */
const TROUBLE = [
  { fault: { kind: 'reset' }, every: 10 },
  { fault: { kind: 'status', status: 500 }, every: 9 },
  { fault: { kind: 'drip', everyMs: 200 }, every: 16 },
] as const

describe('mints under faults', () => {
  let broker: PlainBroker
  beforeAll(async () => {
    broker = await startPlainBroker({ v8Flags: [SMALL_HEAP] })
  })
  afterAll(() => broker?.stop())

  it(
    'Mints under faults succeed in 99 of 100 cases, and memory stays flat',
    async () => {
      const policy = { maxMintsPerMinute: 100_000, maxLiveCredentials: 100_000, maxLiveCredentialsPerSubject: 1_000 }
      await broker.ask('/v1/admin/tenants', { id: 'acme', name: 'Acme', region: 'weur', policy })
      const { result } = await broker.ask('/client/v4/accounts/acme/calls/turn_keys', { name: 'minting' })
      const { uid } = result as { uid: string }
      const mint = () =>
        broker.ask(mintPath({ uid }), {}).then(
          () => true,
          (error: Error) => error.message,
        )
      const warm = await repeated(WARM_UP, mint)
      expect(new Set(warm)).toEqual(new Set([true]))

      await broker.emulator.clearLog()
      await orderTrouble(broker.emulator, 'generate-ice-servers')
      const before = residentBytes(broker.pid)
      const answers = await repeated(MINTS, mint)
      const grown = residentBytes(broker.pid) - before
      const minted = answers.filter((answer) => answer === true).length
      const attempts = await broker.emulator.log('generate-ice-servers')
      console.log(
        `${minted} of ${MINTS} mints in ${attempts.length} attempts; ${(grown / 2 ** 20).toFixed(1)} MiB more`,
      )
      expect(attempts.length).toBeGreaterThan(1.2 * MINTS)
      expect(minted / MINTS, String(answers)).toBeGreaterThanOrEqual(LEAST_SUCCESS)
      expect(before).toBeGreaterThan(0)
      expect(grown).toBeLessThan(GROWTH_BYTES)
    },
    TIMEOUT_MS,
  )
})

describe('load with faults', () => {
  let broker: PlainBroker
  beforeAll(async () => {
    broker = await startPlainBroker()
  })
  afterAll(() => broker?.stop())
  beforeEach(() => broker.emulator.reset())

  it(
    'Load with faults leaves every creation in a defined state',
    async () => {
      const tenant = await tenantWithKey('creating', { maxTurnKeys: 1_000, maxApiCallsPer5Min: 600 })
      await broker.emulator.clearLog()
      await orderTrouble(broker.emulator, 'create')
      const answers = await repeated(CREATES, () => ask(tenant, 'POST', keysPath(tenant), { name: 'loaded' }))
      const made = answers.filter(({ status }) => status === 201)
      console.log(`${made.length} of ${answers.length} creations`)

      // Cloudflare was asked once for each, whatever it answered; not at all for those that found the queue too long.
      const queued = answers.filter(({ text }) => text.includes(`"code":${ERRORS.broker_busy.cloudflareCode}`))
      expect(await broker.emulator.log('create')).toHaveLength(CREATES - queued.length)
      const codes = new Set<unknown>(Object.values(ERRORS).map(({ cloudflareCode }) => cloudflareCode))
      for (const { status, text, retry } of answers.filter((it) => it.status !== 201 && !queued.includes(it))) {
        const { errors } = JSON.parse(text)
        expect(codes, text).toContain(errors[0].code)
        expect(status, text).toBeGreaterThanOrEqual(502)
        expect(retry, text).toBe('false')
      }
      // What was answered is there, here and at Cloudflare; no other key exists.
      const uids = made.map(({ text }) => JSON.parse(text).result.uid).sort()
      const listed = JSON.parse((await ask(tenant, 'GET', keysPath(tenant))).text)
        .result.map(uidOf)
        .sort()
      expect(listed).toEqual([...uids, tenant.uid].sort())
      const live = (await broker.emulator.state()).keys.map(uidOf)
      for (const uid of listed) expect(live).toContain(uid)
    },
    TIMEOUT_MS,
  )

  it(
    'G9: Load with faults leaves a calm tenant alone while another floods',
    async () => {
      const calm = await tenantWithKey('calm')
      const flooding = await tenantWithKey('flooding')
      const floods: Promise<unknown>[] = []
      const served: number[] = []
      for (let second = 0; second < SECONDS; second++) {
        for (let n = 0; n < FLOOD_A_SECOND; n++) {
          floods.push(ask(flooding, 'POST', keysPath(flooding), { name: 'flood' }))
          await sleep(1_000 / FLOOD_A_SECOND)
        }
        const [lookedUp, minted] = await Promise.all([
          ask(calm, 'GET', `${keysPath(calm)}/${calm.uid}`),
          ask(calm, 'POST', mintPath(calm), {}),
        ])
        served.push(lookedUp.status, minted.status)
      }
      await Promise.all(floods)
      const well = served.filter((status) => status < 300).length
      console.log(`${well} of ${served.length} of the calm tenant's requests beside ${floods.length} creations`)
      expect(well / served.length, String(served)).toBeGreaterThanOrEqual(PROMISED)
      expect((await broker.emulator.log('create')).length).toBeLessThan(100)
    },
    TIMEOUT_MS,
  )

  interface Tenant {
    id: string
    token: string
    uid: string
  }

  async function tenantWithKey(id: string, policy?: object): Promise<Tenant> {
    const scopes = ['turn_keys:read', 'turn_keys:write', 'credentials:issue'] as const
    await broker.ask('/v1/admin/tenants', { id, name: id, region: 'weur', ...(policy ? { policy } : {}) })
    const { token } = await broker.ask(`/v1/admin/tenants/${id}/api-tokens`, { name: 'test', scopes })
    const { result } = await broker.ask(keysPath({ id }), { name: 'first' })
    return { id, token: String(token), ...(result as { uid: string }) } // as the contract has it
  }

  async function ask({ token }: Tenant, method: string, route: string, body?: object) {
    const response = await fetch(broker.url + route, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body ? { body: JSON.stringify(body) } : {}),
    })
    return { status: response.status, text: await response.text(), retry: response.headers.get('x-should-retry') }
  }
})

const keysPath = ({ id }: { id: string }) => `/client/v4/accounts/${id}/calls/turn_keys`
const mintPath = ({ uid }: { uid: string }) => `/v1/turn/keys/${uid}/credentials/generate-ice-servers`
const uidOf = ({ uid }: { uid: string }) => uid

async function orderTrouble(emulator: EmulatorControl, operation: Operation): Promise<void> {
  for (const order of TROUBLE) await emulator.fault({ ...order, operation, times: 'always' })
}

/** So many answers, a few asked for at once. */
async function repeated<T>(count: number, ask: () => Promise<T>): Promise<T[]> {
  const answers: T[] = []
  let left = Math.round(count)
  const one = async () => {
    while (left-- > 0) answers.push(await ask())
  }
  await Promise.all(Array.from({ length: AT_ONCE }, one))
  return answers
}
