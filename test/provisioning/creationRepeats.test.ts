/** `Idempotency-Key` on a creation: what a repeat is answered, and that it never makes a second key. */
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import type { Scope } from '../../src/contract/scopes.ts'
import type { Answer } from '../support/broker/answer.ts'
import { type Broker, expectStatus, keysPath, newBroker, newTenant, newToken } from '../support/broker/broker.ts'
import { HOUR_MS, MINUTE_MS, passTime, SECOND_MS, setClock } from '../support/broker/clock.ts'
import { expectFailure, expectNoRepeat } from '../support/broker/errors.ts'
import { countAsked, emulator, liveKeys } from '../support/broker/upstream.ts'
import { runJobs } from '../support/storage/storage.ts'
import { keyRows } from '../support/storage/tenantRows.ts'

const REVEALING: Scope[] = ['turn_keys:read', 'turn_keys:write', 'turn_keys:reveal']

/** A tenant's creation with an `Idempotency-Key`. */
async function creator(broker: Broker, id = 'acme', scopes: Scope[] = REVEALING) {
  const { token } = await newTenant(broker, id, { scopes })
  return (key = 'k', body: unknown = { name: 'first' }, by = token): Promise<Answer> =>
    broker.call('POST', keysPath(id), by, body, { 'idempotency-key': key })
}

describe('the same Idempotency-Key', () => {
  it('The same Idempotency-Key is answered as the first time, the secret included, and makes no second key', async () => {
    const create = await creator(newBroker())
    const first = await create()
    expectStatus(first, 201)
    expect(first.json.result.key).toMatch(/^.{64}$/)
    expect(await create()).toMatchObject({ status: 201, json: first.json })
    expect(await countAsked('create')).toBe(1)
    expectStatus(await create('another'), 201)
    expect(await liveKeys()).toHaveLength(2)
  })

  it('The same Idempotency-Key repeats the secret for ten minutes and not a second longer', async () => {
    const create = await creator(newBroker())
    const first = await create()
    const begunAt = Number((await keyRows('acme'))[0]?.begun_at)
    setClock(begunAt + 10 * MINUTE_MS)
    expect((await create()).json).toEqual(first.json)
    setClock(begunAt + 10 * MINUTE_MS + 1)
    const late = await create()
    const { key: _, ...withoutSecret } = first.json.result
    expect(late).toMatchObject({ status: 201 })
    expect(late.json.result).toEqual(withoutSecret)
  })

  it('The same Idempotency-Key shows the secret to no token without the scope to see it', async () => {
    const broker = newBroker()
    const create = await creator(broker)
    const first = await create()
    const plain = await newToken(broker, 'acme', ['turn_keys:write'])
    const replay = await create('k', { name: 'first' }, plain.token)
    expectStatus(replay, 201)
    expect(replay.text).not.toContain(first.json.result.key)
    expect(replay.json.result).not.toHaveProperty('key')
  })

  it('The same Idempotency-Key is refused with another body, whatever the difference', async () => {
    const create = await creator(newBroker())
    expectStatus(await create('k', '{"name":"first"}'), 201)
    for (const body of ['{"name":"second"}', '{"name": "first"}', '{}']) {
      expectFailure(await create('k', body), 'idempotency_mismatch')
    }
    expect(await countAsked('create')).toBe(1)
  })

  it('The same Idempotency-Key is refused while the first request runs, also when both come at once', async () => {
    const create = await creator(newBroker())
    await emulator.hold('create', 'open', { times: 'always' })
    const both = [create(), create()]
    await emulator.untilHeld('open')
    const early = await Promise.race(both)
    expectFailure(early, 'idempotency_in_progress')
    expectFailure(await create(), 'idempotency_in_progress')
    await emulator.release('open')
    expect((await Promise.all(both)).map(({ status }) => status).sort()).toEqual([201, 409])
    expect(await countAsked('create')).toBe(1)
    expectStatus(await create(), 201)
  })

  it('The same Idempotency-Key says unknown while a creation is in doubt, and the final failure once it is settled', async () => {
    const create = await creator(newBroker())
    await emulator.fault({ operation: 'create', fault: { kind: 'reset', at: 'mid-response' } })
    for (let n = 0; n < 3; n++) {
      const answer = await create()
      expectFailure(answer, 'outcome_unknown')
      expectNoRepeat(answer)
    }
    passTime(1.1 * MINUTE_MS)
    await runJobs('acme')
    const settled = await create()
    expectFailure(settled, 'upstream_failed')
    expectNoRepeat(settled)
    expect(settled.json.errors[0].message).toContain('undone')
    expect(await countAsked('create')).toBe(1)
    expect(await liveKeys()).toEqual([])
  })

  it('The same Idempotency-Key repeats a final refusal without asking upstream again', async () => {
    const create = await creator(newBroker())
    await emulator.fault({ operation: 'create', fault: { kind: 'status', status: 403 } })
    for (let n = 0; n < 2; n++) {
      const answer = await create()
      expectFailure(answer, 'upstream_failed')
      expectNoRepeat(answer)
    }
    expect(await countAsked('create')).toBe(1)
  })

  it('The same Idempotency-Key may be tried again after upstream asked to wait', async () => {
    const create = await creator(newBroker())
    await emulator.fault({ operation: 'create', fault: { kind: 'rate-limit' } })
    expectFailure(await create(), 'upstream_unavailable')
    passTime(1.1 * MINUTE_MS)
    expectStatus(await create(), 201)
    expectStatus(await create(), 201)
    expect(await countAsked('create')).toBe(2)
    expect(await liveKeys()).toHaveLength(1)
  })

  it('The same Idempotency-Key may be tried again after a refusal of the broker, which stored nothing', async () => {
    const broker = newBroker()
    const create = await creator(broker)
    expectStatus(await broker.admin('PATCH', '/tenants/acme', { status: 'suspended' }), 200)
    expectFailure(await create(), 'tenant_suspended')
    expectStatus(await broker.admin('PATCH', '/tenants/acme', { status: 'active' }), 200)
    expectStatus(await create(), 201)
  })

  it('The same Idempotency-Key learns that the key was deleted since', async () => {
    const broker = newBroker()
    const create = await creator(broker)
    const { uid } = (await create()).json.result
    expectStatus(await broker.call('DELETE', keysPath('acme', uid), env.ADMIN_TOKEN), 200)
    const replay = await create()
    expectFailure(replay, 'conflict')
    expectNoRepeat(replay)
    expect(await countAsked('create')).toBe(1)
  })

  it('The same Idempotency-Key means nothing in another tenant, on another route, or a day later', async () => {
    const broker = newBroker()
    const create = await creator(broker)
    const elsewhere = await creator(broker, 'beta')
    const first = await create()
    const other = await elsewhere()
    expect(other.json.result.uid).not.toBe(first.json.result.uid)
    const body = { name: 'first', scopes: ['turn_keys:read'] }
    expectStatus(await broker.admin('POST', '/tenants/acme/api-tokens', body, { 'idempotency-key': 'k' }), 201)

    const begunAt = Number((await keyRows('acme'))[0]?.begun_at)
    setClock(begunAt + 24 * HOUR_MS - SECOND_MS)
    expect((await create()).json.result.uid).toBe(first.json.result.uid)
    setClock(begunAt + 24 * HOUR_MS + SECOND_MS)
    const later = await create()
    expectStatus(later, 201)
    expect(later.json.result.uid).not.toBe(first.json.result.uid)
    expect(await countAsked('create')).toBe(3)
  })

  it('The same Idempotency-Key does not open to a token that is worth nothing any more', async () => {
    const broker = newBroker()
    const create = await creator(broker)
    expectStatus(await create(), 201)
    const reader = await newToken(broker, 'acme', ['turn_keys:read', 'turn_keys:reveal'])
    expectFailure(await create('k', { name: 'first' }, reader.token), 'insufficient_scope')
    const gone = await newToken(broker, 'acme', ['turn_keys:write', 'turn_keys:reveal'])
    expectStatus(await broker.admin('DELETE', `/tenants/acme/api-tokens/${gone.tokenId}`), 204)
    expectFailure(await create('k', { name: 'first' }, gone.token), 'invalid_token')
  })
})

describe('an Idempotency-Key', () => {
  it.each(['', ' ', 'a b', 'a\tb', 'x'.repeat(256)])(
    'An Idempotency-Key of %j is refused before anything is done',
    async (key) => {
      const create = await creator(newBroker())
      expectFailure(await create(key), 'invalid_request')
      expect(await countAsked('create')).toBe(0)
    },
  )

  it('An Idempotency-Key of 255 visible characters is taken', async () => {
    const create = await creator(newBroker())
    const key = `!~"'/${'x'.repeat(250)}`
    const first = await create(key)
    expectStatus(first, 201)
    expect((await create(key)).json).toEqual(first.json)
  })
})
