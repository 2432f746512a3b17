/** G14: one dependency of the broker is gone: what does not need it goes on, everything else is refused. */
import { runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { FaultOrderInput } from '../../emulator/client.ts'
import type { ROUTES, Route } from '../../src/contract/routes.ts'
import type { Answer } from '../support/broker/answer.ts'
import { keysPath, newBroker } from '../support/broker/broker.ts'
import { MINUTE_MS, passTime, SECOND_MS } from '../support/broker/clock.ts'
import { shown } from '../support/broker/contract.ts'
import { APP } from '../support/broker/doors.ts'
import { emulator } from '../support/broker/upstream.ts'
import { rowOf } from '../support/contract/accessRows.ts'
import { furnishAll, pathOf, routes } from '../support/contract/callers.ts'
import { accountStub, tenantStub } from '../support/storage/tenantRows.ts'
import { doorsOf, expectOutcome, newIssuer, tally } from '../support/tenants/issuing.ts'

afterEach(() => {
  vi.restoreAllMocks()
})

const OF_API = ['list', 'create', 'get', 'update', 'delete'] as const

/** The ways in which the API for TURN keys fails. */
const GONE: [string, FaultOrderInput['fault'] | 'refused'][] = [
  ['refuses connections', 'refused'],
  ['answers 503', { kind: 'status', status: 503 }],
  ['hangs', { kind: 'hang' }],
  ['resets', { kind: 'reset', at: 'before-body' }],
  ['answers 401', { kind: 'echo', status: 401 }],
  ['limits the rate for an hour', { kind: 'rate-limit', dressing: 'retry-after-hour' }],
]

async function loseApi(fault: FaultOrderInput['fault'] | 'refused'): Promise<void> {
  if (fault === 'refused') {
    const real = globalThis.fetch
    vi.spyOn(globalThis, 'fetch').mockImplementation(async (input, init) => {
      if (/\/client\/v4\//.test(String(input))) throw new TypeError('connection refused')
      return real(input, init)
    })
    return
  }
  for (const operation of OF_API) await emulator.fault({ operation, fault, times: 'always' })
}

describe('G14: an outage of the API for TURN keys', () => {
  it.each(GONE)(
    'G14: While the API for TURN keys %s, credentials are minted, revoked and reused',
    async (_what, fault) => {
      passTime(2 * MINUTE_MS)
      const acme = await newIssuer()
      // The copies are older than an hour, so every look-up asks upstream.
      passTime(61 * MINUTE_MS)
      await loseApi(fault)
      const [ann, bob] = [await acme.clientToken('ann'), await acme.clientToken('bob')]
      const looking = acme.broker.call('GET', keysPath('acme', acme.uid), acme.token)
      const creating = acme.broker.call('POST', keysPath('acme'), acme.token, { name: 'second' })
      const minted = await Promise.all([acme.ice(ann), acme.ice(bob), acme.generate(), acme.generate()])
      expect(tally(minted)).toEqual({ '201': 4 })
      expect((await acme.ice(ann)).json).toMatchObject({ source: 'reused' })
      const username = String(minted[3]?.json.iceServers.username)
      const path = `/v1/turn/keys/${acme.uid}/credentials/${username}/revoke`
      expectOutcome(await acme.broker.call('POST', path, acme.token), '204')
      if (fault === 'refused' || fault.kind !== 'hang') {
        expectOutcome(await looking, '200')
        expect((await creating).status, shown(await creating)).toBeGreaterThanOrEqual(502)
        return
      }
      await emulator.reset()
      await Promise.all([looking, creating])
    },
  )
})

type Method = (...given: unknown[]) => Promise<unknown>

/** The ways in which a call of a Tenant that is out of reach ends. */
const unreachable: [string, () => Promise<unknown>][] = [
  ['throws', () => Promise.reject(new Error('Durable Object reset'))],
  ['is overloaded', () => Promise.reject(Object.assign(new Error('overloaded'), { overloaded: true }))],
  ['cannot store', () => Promise.resolve({ ok: false, failure: { code: 'storage_failed' } })],
  ['is silent', () => new Promise(() => undefined)],
]

function withoutTenants(call: Method) {
  const stub = new Proxy({}, { get: (_, name) => (name === 'then' ? undefined : call) })
  const TENANTS = { idFromName: (name: string) => name, get: () => stub }
  return newBroker({ TENANTS })
}

/** The routes that need no Tenant. */
const WITHOUT_TENANT: readonly string[] = [
  ...['health', 'ready', 'tenantList', 'resealOrder', 'resealProgress'],
  ...['accountGet', 'accountAuditList', 'tokenCheckReplace', 'tokenCheckGet'],
]
/** The routes on which the Account calls a Tenant, through a binding of its own. */
const BY_THE_ACCOUNT: readonly string[] = ['tenantCreate', 'tenantRestore', 'accountSweep']
/** The routes that the edge may answer from KV for a minute. */
const OUT_OF_KV: readonly string[] = ['turnKeyGet', 'iceServersPreflight']

/** The answer to a valid call of a route by a caller with access. */
const answerTo = async (
  broker: ReturnType<typeof newBroker>,
  [name, route]: [keyof typeof ROUTES, Route],
  things: Awaited<ReturnType<typeof furnishAll>>,
): Promise<{ name: string; answer: Answer }> => {
  const { body, query = '', headers } = rowOf(name)
  const tokens = { 'client-token': things.clientToken, admin: env.ADMIN_TOKEN, public: undefined }
  const token = typeof route.access === 'string' ? tokens[route.access] : things.token
  const sent = typeof body === 'function' ? await body() : body
  return { name, answer: await broker.call(route.method, pathOf(route, things) + query, token, sent, headers) }
}

describe('G14: a Tenant out of reach', () => {
  it.each(unreachable)(
    'G14: While the Tenant %s, look-ups of up to 60 s go on, and everything else is refused',
    async (what, call) => {
      passTime(2 * MINUTE_MS)
      const acme = await furnishAll(newBroker(), 'acme')
      await newBroker().call('GET', keysPath('acme', acme.keyId), acme.token)
      await emulator.clearLog()
      const before = await everyRow()
      const broker = withoutTenants(call)
      if (what === 'is silent') vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'], now: Date.now() })
      const asked = routes.filter(([name]) => !BY_THE_ACCOUNT.includes(name)).map((one) => answerTo(broker, one, acme))
      if (what === 'is silent') {
        // Time passes until the deadline of each route.
        for (let passed = 0; passed < 13; passed++) {
          await scheduler.wait(50)
          await vi.advanceTimersByTimeAsync(SECOND_MS)
        }
      }
      const wrong = (await Promise.all(asked)).flatMap(({ name, answer }) => {
        const goesOn = WITHOUT_TENANT.includes(name) || OUT_OF_KV.includes(name)
        const isRefused = answer.status >= 500 && answer.json.iceServers === undefined
        return (goesOn ? answer.status < 400 : isRefused) ? [] : [`${name}: ${shown(answer)}`]
      })
      expect(wrong).toEqual([])
      expect(await emulator.log()).toEqual([])
      expect(await everyRow()).toEqual(before)
    },
  )

  it('G14: While the Tenant is out of reach, a look-up older than 60 s is refused to every caller', async () => {
    passTime(2 * MINUTE_MS)
    const acme = await furnishAll(newBroker(), 'acme')
    await newBroker().call('GET', keysPath('acme', acme.keyId), acme.token)
    const broker = withoutTenants(() => Promise.reject(new Error('Durable Object reset')))
    const look = (token: string) => broker.call('GET', keysPath('acme', acme.keyId), token)
    passTime(59 * SECOND_MS)
    expectOutcome(await look(acme.token), '200')
    passTime(2 * SECOND_MS)
    for (const token of [acme.token, env.ADMIN_TOKEN]) expectOutcome(await look(token), '503 31025')
    // What KV still holds does not admit a page either, whatever its origin.
    const ice = doorsOf(broker, { ...acme, uid: acme.keyId })
    for (const headers of [{ origin: APP }, { origin: 'https://evil.example' }]) {
      const answer = await ice.ice(acme.clientToken, {}, headers)
      expect(answer.status, shown(answer)).toBeGreaterThanOrEqual(403)
    }
  })
})

/** All rows of the tenant and of the Account. */
const everyRow = async () =>
  Promise.all(
    [tenantStub('acme'), accountStub()].map((stub: DurableObjectStub) =>
      runInDurableObject(stub, (_, { storage }) => {
        const names = storage.sql
          .exec<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table'")
          .toArray()
        const compared = names.filter(
          ({ name }) => !/^_cf_|^(reseals|reseal_order|check_keys|jobs|audit_events|sqlite_sequence)$/.test(name),
        )
        return compared.map(({ name }) => storage.sql.exec(`SELECT * FROM "${name}"`).toArray())
      }),
    ),
  )
