// The host that mints goes away and comes back, on real sockets.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type PlainBroker, startPlainBroker } from '../../../bench/runtime/broker.ts'

let broker: PlainBroker
let mintUrl: string
let token: string

beforeAll(async () => {
  broker = await startPlainBroker()
  await broker.ask('/v1/admin/tenants', { id: 'acme', name: 'Acme', region: 'weur' })
  const { result } = await broker.ask('/client/v4/accounts/acme/calls/turn_keys', { name: 'key' })
  const { uid } = result as { uid: string } // as the contract has it
  mintUrl = `${broker.url}/v1/turn/keys/${uid}/credentials/generate`
  const scopes = ['credentials:issue']
  token = String((await broker.ask('/v1/admin/tenants/acme/api-tokens', { name: 'test', scopes })).token)
})
afterAll(() => broker?.stop())

async function generate() {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
  const response = await fetch(mintUrl, { method: 'POST', headers, body: JSON.stringify({ ttl: 600 }) })
  const text = await response.text()
  return { status: response.status, json: text === '' ? undefined : JSON.parse(text) }
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
  it('On real sockets the host that mints is let alone while it is gone, and used within 5 s of its return', async () => {
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
    while (Date.now() - begun < 3_000 || answers.length <= 20) {
      answers.push(...(await Promise.all(Array.from({ length: 4 }, generate))).map(({ status }) => status))
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    expect(answers).not.toContain(201)
    // One attempt a second, and the one that may be under way at the beginning.
    const seconds = Math.ceil((Date.now() - begun) / 1_000)
    expect((await broker.emulator.log('generate-ice-servers')).length, 'attempts').toBeLessThanOrEqual(seconds + 1)

    await broker.emulator.clearFaults()
    const took = await until('a mint', 5_000, async () => (await generate()).status === 201)
    expect(took).toBeLessThan(3_000)
    const after = await Promise.all(Array.from({ length: 8 }, generate))
    expect(after.map(({ status }) => status)).toEqual(Array(8).fill(201))
  })
})
