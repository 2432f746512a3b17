// A root key is changed as docs/configuration.md tells, on a broker that really runs and is really restarted; and the host
// that mints goes away and comes back, on real sockets.
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type RunningBroker, startBroker } from './runningBroker.ts'

let broker: RunningBroker
let tenant: { id: string; token: string }
let uid: string

beforeAll(async () => {
  broker = await startBroker()
  tenant = await broker.newTenant('acme', { scopes: ['turn_keys:write', 'client_tokens:create', 'credentials:issue'] })
  const { json } = await call('POST', '/client/v4/accounts/acme/calls/turn_keys', tenant.token, { name: 'key' })
  uid = json.result.uid
})
afterAll(() => broker?.stop())

async function call(method: string, path: string, token?: string, body?: object) {
  const response = await fetch(broker.url + path, {
    method,
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      'content-type': 'application/json',
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  return { status: response.status, json: text === '' ? undefined : JSON.parse(text) }
}

const generate = () => call('POST', `/v1/turn/keys/${uid}/credentials/generate`, tenant.token, { ttl: 600 })
const ready = async () => (await call('GET', '/readyz')).status

async function iceServers(subject: string) {
  const { json } = await call('POST', '/v1/tenants/acme/client-tokens', tenant.token, { subject })
  return call('POST', '/v1/tenants/acme/ice-servers', json.token, {})
}

async function until(what: string, withinMs: number, holds: () => Promise<boolean>): Promise<number> {
  const begun = Date.now()
  while (!(await holds())) {
    if (Date.now() - begun > withinMs) throw new Error(`not within ${withinMs} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return Date.now() - begun
}

describe('on real sockets', () => {
  it('the host that mints is let alone while it is gone, and used within 5 s of its return', async () => {
    await broker.emulator.fault({
      operation: 'generate-ice-servers',
      fault: { kind: 'reset', at: 'before-body' },
      times: 'always',
    })
    await until('the breaker is open', 20_000, async () => {
      const answers = await Promise.all(Array.from({ length: 8 }, generate))
      return answers.some(({ status, json }) => status === 503 && json.errors[0].code === 31026)
    })
    await broker.emulator.clearLog()
    const begun = Date.now()
    const answers: number[] = []
    while (Date.now() - begun < 3_000) {
      answers.push(...(await Promise.all(Array.from({ length: 4 }, generate))).map(({ status }) => status))
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    expect(answers).not.toContain(201)
    expect(answers.length).toBeGreaterThan(20)
    expect((await broker.emulator.log('generate-ice-servers')).length, 'attempts in 3 s').toBeLessThanOrEqual(4)

    await broker.emulator.clearFaults()
    const took = await until('a mint', 5_000, async () => (await generate()).status === 201)
    expect(took).toBeLessThan(3_000)
    const after = await Promise.all(Array.from({ length: 8 }, generate))
    expect(after.map(({ status }) => status)).toEqual(Array(8).fill(201))
  })

  it('a root key that is taken out too early is told by /readyz, and nothing is lost when it is put back', async () => {
    const username = (await iceServers('ann')).json.iceServers.at(-1).username
    const fresh = `k2:${randomBytes(32).toString('base64')}`
    await until('the Account knows', 5_000, async () => {
      const { json } = await broker.admin('GET', '/reseal')
      return json.rootKeys[0]?.tenants === 1
    })
    await broker.restart({ ROOT_KEYS: fresh })
    expect(await ready()).toBe(503)
    expect((await generate()).status).toBe(500)
    expect((await broker.admin('GET', '/reseal')).json.rootKeys).toContainEqual(
      expect.objectContaining({ id: 'k1', configured: false, tenants: 1 }),
    )

    await broker.restart({ ROOT_KEYS: `${fresh},${broker.rootKey}` })
    expect(await ready()).toBe(200)
    expect((await broker.admin('POST', '/reseal')).status).toBe(202)
    await until('all is moved', 10_000, async () => (await broker.admin('GET', '/reseal')).json.state === 'done')
    const { json } = await broker.admin('GET', '/reseal')
    expect(json).toMatchObject({ to: 'k2', tenants: 1, done: 1, unreadable: 0 })
    expect(json.moved).toBeGreaterThanOrEqual(2)
    expect(json.rootKeys.find(({ id }: { id: string }) => id === 'k1')).toMatchObject({ tenants: 0 })

    await broker.restart({ ROOT_KEYS: fresh })
    // Client tokens of the old one may be about for an hour: until then it is missed, and told.
    expect(await ready()).toBe(503)
    expect((await generate()).status).toBe(201)
    const reused = await iceServers('ann')
    expect(reused.json).toMatchObject({ source: 'reused' })
    expect(reused.json.iceServers.at(-1).username).toBe(username)
  }, 180_000)
})
