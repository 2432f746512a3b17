// Cloudflare's own SDK, as published, against the running broker: only `apiToken` and `baseURL` differ from talking to Cloudflare.
import Cloudflare from 'cloudflare'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import type { FaultOrderInput } from '../../../emulator/client.ts'
import type { Scope } from '../../../src/contract/scopes.ts'
import { type RunningBroker, startBroker } from '../support/runningBroker.ts'

const SCOPES: Scope[] = ['turn_keys:read', 'turn_keys:write', 'turn_keys:reveal']
const UID = /^[A-Za-z0-9_-]{32}$/

let broker: RunningBroker
let tenants = 0

beforeAll(async () => {
  broker = await startBroker()
})
beforeEach(async () => {
  vi.restoreAllMocks()
  await broker.emulator.reset()
})
afterAll(() => broker?.stop())

const clientOf = (apiToken: string) => new Cloudflare({ apiToken, baseURL: `${broker.url}/client/v4` })

/** A new tenant with the SDK in its hands. */
async function newClient(scopes = SCOPES, policy: object = {}) {
  const { id, token } = await broker.newTenant(`tenant-${++tenants}`, { scopes, policy })
  return { client: clientOf(token), account: { account_id: id }, token }
}

const posts = async () => (await broker.emulator.log('create')).length
const liveKeys = async () => (await broker.emulator.state()).keys.filter(({ deleted }) => deleted === null)

/** What a call failed with. */
async function errorOf(call: Promise<unknown>): Promise<unknown> {
  try {
    await call
  } catch (error) {
    return error
  }
  throw new Error('the call did not fail')
}

describe('the official SDK', () => {
  it('The official SDK creates, gets, lists, updates and deletes TURN keys', async () => {
    const { client, account } = await newClient()
    const created = await client.calls.turn.create({ ...account, name: 'first' })
    expect(created).toMatchObject({
      uid: expect.stringMatching(UID),
      key: expect.stringMatching(/^.{64}$/),
      name: 'first',
    })
    expect(Date.parse(created.created)).toBeGreaterThan(0)
    const { uid } = created

    const got = await client.calls.turn.get(uid, account)
    expect(got).toMatchObject({ uid, name: 'first', created: created.created, modified: created.modified })
    expect(got).not.toHaveProperty('key')

    const second = await client.calls.turn.create({ ...account })
    const listed = []
    for await (const key of client.calls.turn.list(account)) listed.push(key.uid)
    expect(listed.sort()).toEqual([uid, second.uid].sort())

    expect(await client.calls.turn.update(uid, { ...account, name: 'renamed' })).toMatchObject({ uid, name: 'renamed' })
    expect(await client.calls.turn.get(uid, account)).toMatchObject({ name: 'renamed' })
    expect(await client.calls.turn.delete(uid, account)).toMatchObject({ uid, name: 'renamed' })
    expect(await errorOf(client.calls.turn.get(uid, account))).toBeInstanceOf(Cloudflare.NotFoundError)
    expect((await liveKeys()).map((key) => key.uid)).toEqual([second.uid])
  })

  it('The official SDK gets its own NotFoundError, with Cloudflare’s code, for a key that is not there', async () => {
    const { client, account } = await newClient()
    const { client: stranger, account: elsewhere } = await newClient()
    const foreign = await stranger.calls.turn.create(elsewhere)
    for (const uid of ['a'.repeat(32), 'nonsense', foreign.uid]) {
      const error = await errorOf(client.calls.turn.get(uid, account))
      expect(error).toBeInstanceOf(Cloudflare.NotFoundError)
      expect(error).toMatchObject({ status: 404, errors: [{ code: 20008 }] })
    }
    expect(await errorOf(client.calls.turn.update(foreign.uid, account))).toBeInstanceOf(Cloudflare.NotFoundError)
    expect(await errorOf(client.calls.turn.delete(foreign.uid, account))).toBeInstanceOf(Cloudflare.NotFoundError)
  })

  it('The official SDK gets AuthenticationError for a wrong token and PermissionDeniedError for what a token may not do', async () => {
    const { client, account, token } = await newClient(['turn_keys:read'])
    const other = await newClient()
    for (const wrong of ['nonsense', `${token.slice(0, -1)}${token.endsWith('0') ? '1' : '0'}`]) {
      const error = await errorOf(clientOf(wrong).calls.turn.create(account))
      expect(error).toBeInstanceOf(Cloudflare.AuthenticationError)
      expect(error).toMatchObject({ errors: [{ code: 10000 }] })
    }
    for (const account_id of [account.account_id, other.account.account_id, 'nobody']) {
      const error = await errorOf(client.calls.turn.create({ account_id }))
      expect(error).toBeInstanceOf(Cloudflare.PermissionDeniedError)
      expect(error).toMatchObject({ errors: [{ code: 10000 }] })
    }
    expect(await posts()).toBe(0)
  })

  it('The official SDK gets BadRequestError for a name that cannot be one', async () => {
    const { client, account } = await newClient()
    const error = await errorOf(client.calls.turn.create({ ...account, name: 'x'.repeat(101) }))
    expect(error).toBeInstanceOf(Cloudflare.BadRequestError)
  })
})

type Fault = FaultOrderInput['fault']
const faults: [string, Fault][] = [
  ['500', { kind: 'status', status: 500 }],
  ['500 after it took effect', { kind: 'status', status: 500, when: 'after' }],
  ['520 as HTML', { kind: 'status', status: 520, body: 'html', when: 'after' }],
  ['408', { kind: 'status', status: 408, when: 'after' }],
  ['409', { kind: 'status', status: 409 }],
  ['403', { kind: 'status', status: 403 }],
  ['a reset before the body', { kind: 'reset', at: 'before-body' }],
  ['a reset before it took effect', { kind: 'reset', at: 'after-body', when: 'before' }],
  ['a reset after it took effect', { kind: 'reset', at: 'after-body' }],
  ['a reset in the answer', { kind: 'reset', at: 'mid-response' }],
  ['half an answer', { kind: 'truncate', by: 'content-length' }],
  ['an answer without the key', { kind: 'shape', shape: 'missing-key' }],
  ['a 200 that says no', { kind: 'shape', shape: 'success-false' }],
  ['a 200 of HTML', { kind: 'shape', shape: 'html' }],
  ['silence', { kind: 'hang', at: 'before-headers' }],
]

describe('G5: its automatic repeats make no second key: a creation that upstream meets with', () => {
  it.each(faults)(
    'G5: Its automatic repeats make no second key: a creation that upstream meets with %s reaches it once, and is an error at once',
    async (_name, fault) => {
      const { client, account } = await newClient()
      await broker.emulator.fault({ operation: 'create', fault, times: 'always' })
      const requests = vi.spyOn(globalThis, 'fetch')
      const asking = clientOf(String(client.apiToken)) // it takes `fetch` as it finds it
      const error = await errorOf(asking.calls.turn.create({ ...account, name: 'x' }))
      const sent = requests.mock.calls.filter(([url]) => String(url).startsWith(broker.url))
      expect(sent).toHaveLength(1)
      expect(error).toBeInstanceOf(Cloudflare.InternalServerError)
      expect((error as { headers: Headers }).headers.get('x-should-retry')).toBe('false') // an APIError has them
      expect(await posts()).toBe(1)
      expect((await liveKeys()).length).toBeLessThanOrEqual(1)
      // No answer named a key, so no caller uses one.
      await broker.emulator.clearFaults()
      const listed = await client.calls.turn.list(account)
      expect(listed.result).toEqual([])
    },
  )
})

describe('requests that the SDK repeats', () => {
  it('What may be repeated is, by the SDK itself: it waits as Retry-After says, and gets its one key', async () => {
    const { client, account } = await newClient()
    await broker.emulator.fault({ operation: 'create', fault: { kind: 'rate-limit', seconds: 1 } })
    const created = await client.calls.turn.create({ ...account, name: 'x' })
    expect(await posts()).toBe(2)
    expect((await liveKeys()).map(({ uid }) => uid)).toEqual([created.uid])
  })

  it('What may be repeated is not when the tenant has all its keys: that is a ConflictError at once', async () => {
    const { account, token } = await newClient(SCOPES, { maxTurnKeys: 1 })
    const requests = vi.spyOn(globalThis, 'fetch')
    const client = clientOf(token)
    await client.calls.turn.create(account)
    expect(await errorOf(client.calls.turn.create(account))).toBeInstanceOf(Cloudflare.ConflictError)
    expect(requests.mock.calls.filter(([url]) => String(url).startsWith(broker.url))).toHaveLength(2)
    expect(await liveKeys()).toHaveLength(1)
  })
})

describe('an Idempotency-Key given with a call', () => {
  const options = (key: string) => ({ headers: { 'Idempotency-Key': key } })

  it('An Idempotency-Key given with a call makes a repeat answer as the first did, the secret included', async () => {
    const { client, account } = await newClient()
    const first = await client.calls.turn.create({ ...account, name: 'x' }, options('one'))
    expect(await client.calls.turn.create({ ...account, name: 'x' }, options('one'))).toEqual(first)
    expect((await client.calls.turn.create({ ...account, name: 'x' }, options('two'))).uid).not.toBe(first.uid)
    expect(await posts()).toBe(2)
    const error = await errorOf(client.calls.turn.create({ ...account, name: 'y' }, options('one')))
    expect(error).toBeInstanceOf(Cloudflare.UnprocessableEntityError)
  })

  it('An Idempotency-Key given with a call lets two calls at once end with one key', async () => {
    const { client, account } = await newClient()
    await broker.emulator.fault({ operation: 'create', fault: { kind: 'delay', ms: 300 } })
    const both = [1, 2].map(() => client.calls.turn.create({ ...account, name: 'x' }, options('one')))
    const [one, two] = await Promise.all(both)
    expect(one).toEqual(two)
    expect(await posts()).toBe(1)
  })
})
