/** How many RPCs, KV reads and calls upstream a mint costs, and that a refused token costs none. */

import { describe, expect, it } from 'vitest'
import type { Answer } from '../support/broker/answer.ts'
import { newBroker } from '../support/broker/broker.ts'
import { passTime } from '../support/broker/clock.ts'
import { emulator } from '../support/broker/upstream.ts'
import { APP, countingBindings, doorsOf, expectOutcome, newIssuer } from '../support/tenants/issuing.ts'

/** A tenant, its doors at a broker that counts, and a function that returns what one request costs. */
async function counted(policy: object = {}) {
  const acme = await newIssuer(policy)
  const { counts, bindings } = countingBindings()
  const broker = newBroker(bindings)
  const costs = async (ask: () => Promise<Answer>) => {
    await emulator.clearLog()
    Object.assign(counts, { rpc: 0, kv: 0 })
    const answer = await ask()
    return { outcome: answer.status, ...counts, upstream: (await emulator.log()).length }
  }
  return { acme, broker, doors: doorsOf(broker, acme), costs }
}

describe('the cost of a mint', () => {
  it('A mint for an app without an origin costs one RPC and one call upstream, and no KV read', async () => {
    const { acme, doors, costs } = await counted()
    const token = await acme.clientToken()
    expect(await costs(() => doors.ice(token))).toEqual({ outcome: 201, rpc: 1, kv: 0, upstream: 1 })
    // The next request is answered from the ledger.
    expect(await costs(() => doors.ice(token))).toEqual({ outcome: 201, rpc: 1, kv: 0, upstream: 0 })
  })

  it('A mint for a page costs one RPC and one call upstream, and one KV read until its origin is remembered', async () => {
    const { acme, doors, costs } = await counted({ reuse: false })
    const token = await acme.clientToken()
    const ask = () => doors.ice(token, undefined, { origin: APP })
    expect(await costs(ask)).toEqual({ outcome: 201, rpc: 1, kv: 1, upstream: 1 })
    expect(await costs(ask)).toEqual({ outcome: 201, rpc: 1, kv: 0, upstream: 1 })
  })

  it('A mint for a server costs one RPC and one call upstream, and no KV read once the isolate knows check keys and tenant', async () => {
    const { doors, costs } = await counted()
    await newBroker().call('GET', '/v1/tenants/acme', (await newIssuer({}, 'other')).token)
    expect(await costs(() => doors.generate())).toEqual({ outcome: 201, rpc: 1, kv: 2, upstream: 1 })
    expect(await costs(() => doors.generate())).toEqual({ outcome: 201, rpc: 1, kv: 0, upstream: 1 })
  })

  it('A mint for each of 64 subjects that ask at once costs one RPC and one call upstream', async () => {
    const { doors, costs } = await counted()
    await doors.generate()
    const ask = async () => {
      const answers = await Promise.all(
        Array.from({ length: 64 }, (_, n) => doors.generate({ customIdentifier: `subject-${n}` })),
      )
      return answers.find(({ status }) => status !== 201) ?? (answers[0] as Answer)
    }
    expect(await costs(ask)).toEqual({ outcome: 201, rpc: 64, kv: 0, upstream: 64 })
  })
})

/** The token with one of its three parts changed in the middle. */
const changed = (token: string, part: 0 | 1 | 2): string => {
  const parts = token.split('.')
  const text = parts[part] ?? ''
  const middle = Math.floor(text.length / 2)
  parts[part] = `${text.slice(0, middle)}${text[middle] === 'A' ? 'B' : 'A'}${text.slice(middle + 1)}`
  return parts.join('.')
}

describe('the cost of a refused request', () => {
  const nothing = { outcome: 401, rpc: 0, kv: 0, upstream: 0 }

  it.each([
    ['from an app', undefined],
    ['from a page whose origin is remembered', APP],
  ])('A refused client token %s costs no RPC, no KV read and no call upstream', async (_name, origin) => {
    const { acme, broker, doors, costs } = await counted()
    const headers = origin === undefined ? {} : { origin }
    const good = await acme.clientToken()
    const expired = await acme.clientToken('ann', { ttl: 1 })
    const other = await newIssuer({}, 'other', acme.broker)
    const foreign = await other.clientToken()
    expectOutcome(await doors.ice(good, undefined, headers), '201')
    passTime(2_000)
    const refused = {
      'with a changed header': changed(good, 0),
      'with changed claims': changed(good, 1),
      'with a changed signature': changed(good, 2),
      'without a signature': good.slice(0, good.lastIndexOf('.') + 1),
      'of another tenant': foreign,
      'that is an API token': acme.token,
      'that is junk': 'junk',
      'of 9,000 characters': 'a'.repeat(9_000),
      expired,
    }
    for (const [what, token] of Object.entries(refused)) {
      expect(await costs(() => doors.ice(token, undefined, headers)), what).toEqual(nothing)
      const form = { method: 'POST', body: new URLSearchParams({ access_token: token }), headers }
      expect(await costs(() => broker.send('/v1/tenants/acme/ice-servers', form)), `${what}, in a form`).toEqual(
        nothing,
      )
    }
    expect(
      await costs(() => broker.call('POST', '/v1/tenants/acme/ice-servers', undefined, undefined, headers)),
    ).toEqual(nothing)
  })

  it('A malformed request, or a client token at another tenant, costs no RPC, no KV read and no call upstream', async () => {
    const { acme, broker, doors, costs } = await counted()
    const good = await acme.clientToken()
    expect(await costs(() => doors.ice(good, { ttl: 0 }))).toEqual({ ...nothing, outcome: 400 })
    expect(await costs(() => doors.ice(good, { other: 1 }))).toEqual({ ...nothing, outcome: 400 })
    expect(await costs(() => broker.call('POST', '/v1/tenants/never-was/ice-servers', good))).toEqual(nothing)
  })

  it('A page with an origin that no browser sends is refused before its client token is verified', async () => {
    const { acme, doors, costs } = await counted()
    const good = await acme.clientToken()
    for (const origin of ['Null', 'javascript:1', 'https://app.example/', 'https://a b', '*'])
      expect(await costs(() => doors.ice(good, undefined, { origin })), origin).toEqual({ ...nothing, outcome: 403 })
  })
})

it('A request that the Tenant refuses costs one RPC and no call upstream', async () => {
  const { acme, doors, costs } = await counted()
  const token = await acme.clientToken()
  const refusal = (outcome: number) => ({ outcome, rpc: 1, kv: 0, upstream: 0 })
  expect(await costs(() => doors.ice(token, { ttl: 14_401 }))).toEqual(refusal(400))
  await acme.post('/bans', { subject: 'ann', until: new Date(Date.now() + 60_000).toISOString() })
  expect(await costs(() => doors.ice(token))).toEqual(refusal(403))
  await acme.broker.admin('PATCH', '/tenants/acme', { status: 'suspended' })
  expect(await costs(() => doors.ice(token))).toEqual(refusal(403))
})
