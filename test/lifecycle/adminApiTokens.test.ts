/** API tokens at the admin door: shown once, listed, rolled with an overlap, deleted. */
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { MAX_API_TOKENS } from '../../src/contract/resources/apiTokens.ts'
import { SCOPES } from '../../src/contract/scopes.ts'
import type { Answer } from '../support/broker/answer.ts'
import { type Broker, expectStatus, keysPath, newBroker, newTenant } from '../support/broker/broker.ts'
import { HOUR_MS, MINUTE_MS, passTime, SECOND_MS, until } from '../support/broker/clock.ts'
import { outcomeOf, shown } from '../support/broker/contract.ts'

const TOKENS = '/tenants/acme/api-tokens'
const TOKEN = /^tb_acme_[0-9A-Za-z]{12}_[0-9A-Za-z]{60}$/

const expectOutcome = (answer: Answer, outcome: string) => expect(outcomeOf(answer), shown(answer)).toBe(outcome)

const create = (broker: Broker, body: object = {}, headers: Record<string, string> = {}) =>
  broker.admin('POST', TOKENS, { name: 'server', scopes: ['tenant:read'], ...body }, headers)

const works = async (broker: Broker, token: string) =>
  outcomeOf(await broker.call('GET', '/v1/tenants/acme', token)) === '200'

async function setUp() {
  const broker = newBroker()
  expectStatus(await broker.admin('POST', '/tenants', { id: 'acme', name: 'Acme', region: 'weur' }), 201)
  return broker
}

describe('API tokens at the admin door', () => {
  it('An API token is shown once, at creation, and never in a list', async () => {
    const broker = await setUp()
    const created = await create(broker, { scopes: [...SCOPES] })
    expectOutcome(created, '201')
    const { token, ...view } = created.json
    expect(token).toMatch(TOKEN)
    expect(view).toEqual({
      id: token.split('_')[2],
      name: 'server',
      scopes: [...SCOPES],
      expiresAt: null,
      createdAt: expect.any(String),
      rolledAt: null,
      previousValidUntil: null,
    })
    expect(created.headers.get('cache-control')).toBe('no-store')
    const list = await broker.admin('GET', TOKENS)
    expect(list.json, shown(list)).toEqual({ items: [view], nextCursor: null })
    expect(await works(broker, token)).toBe(true)
  })

  it('API tokens are listed newest first, in pages', async () => {
    const broker = await setUp()
    for (const name of ['a', 'b', 'c']) expectStatus(await create(broker, { name }), 201)
    const first = await broker.admin('GET', `${TOKENS}?limit=2`)
    expect(first.json.items, shown(first)).toMatchObject([{ name: 'c' }, { name: 'b' }])
    const second = await broker.admin('GET', `${TOKENS}?limit=2&cursor=${first.json.nextCursor}`)
    expect(second.json, shown(second)).toMatchObject({ items: [{ name: 'a' }], nextCursor: null })
  })

  it('An API token stops working when it is deleted', async () => {
    const broker = await setUp()
    const { token, id } = (await create(broker)).json
    expect(await works(broker, token)).toBe(true)
    expectOutcome(await broker.admin('DELETE', `${TOKENS}/${id}`), '204')
    expect(await works(broker, token)).toBe(false)
    expect((await broker.admin('GET', TOKENS)).json.items).toEqual([])
    expectOutcome(await broker.admin('DELETE', `${TOKENS}/${id}`), '404 not_found')
    expectOutcome(await broker.admin('POST', `${TOKENS}/${id}/roll`, {}), '404 not_found')
  })

  it('An API token stops working at its expiry, which must lie in the future', async () => {
    const broker = await setUp()
    const expiresAt = new Date(Date.now() + 10 * SECOND_MS).toISOString()
    const created = await create(broker, { expiresAt })
    expect(created.json.expiresAt, shown(created)).toBe(expiresAt)
    expect(await works(broker, created.json.token)).toBe(true)
    passTime(10 * SECOND_MS)
    expect(await works(broker, created.json.token)).toBe(false)
    for (const past of [new Date(Date.now()).toISOString(), '1970-01-01T00:00:00Z', '0000-01-01T00:00:00Z']) {
      expectOutcome(await create(broker, { expiresAt: past }), '400 invalid_request')
    }
    expectOutcome(await create(broker, { expiresAt: '9999-12-31T23:59:59+14:00' }), '201')
    expectOutcome(await create(broker, { expiresAt: '9999-12-31T23:59:59-14:00' }), '400 invalid_request')
  })

  it('An API token stops working at its expiry also at the edge, where KV still has it', async () => {
    const broker = await setUp()
    const key = (await broker.call('POST', keysPath('acme'), env.ADMIN_TOKEN, {})).json.result
    passTime(MINUTE_MS)
    const expiresAt = new Date(Date.now() + 10 * SECOND_MS).toISOString()
    const scopes = ['turn_keys:read']
    const expiring = (await create(broker, { scopes, expiresAt })).json
    const rolled = (await create(broker, { scopes })).json
    const roll = await broker.admin('POST', `${TOKENS}/${rolled.id}/roll`, { overlapSeconds: 10 })
    const lookUp = async ({ token }: { token: string }) => {
      const answer = await broker.call('GET', keysPath('acme', key.uid), token)
      return `${answer.status} ${answer.headers.get('cache-status')?.split(';')[0] ?? '-'}`
    }
    expectStatus(await broker.call('GET', keysPath('acme', key.uid), expiring.token), 200)
    await until('KV was written', async () => (await lookUp(expiring)) === '200 edge')
    passTime(9 * SECOND_MS)
    expect([await lookUp(expiring), await lookUp(rolled)]).toEqual(['200 edge', '200 edge'])
    passTime(SECOND_MS)
    expect([await lookUp(expiring), await lookUp(rolled)]).toEqual(['401 -', '401 -'])
    expect(await lookUp(roll.json)).toBe('200 edge')
  })

  it('A rolled API token has a new secret that works at once, and its old one works for the overlap', async () => {
    const broker = await setUp()
    const old = (await create(broker)).json
    const rolled = await broker.admin('POST', `${TOKENS}/${old.id}/roll`, {})
    expectOutcome(rolled, '200')
    expect(rolled.json.token).toMatch(TOKEN)
    expect(rolled.json.token).not.toBe(old.token)
    const { token: _, ...view } = rolled.json
    expect(view).toEqual({
      ...view,
      id: old.id,
      name: 'server',
      rolledAt: expect.any(String),
      previousValidUntil: new Date(Date.parse(view.rolledAt) + HOUR_MS).toISOString(),
    })
    const fresh = newBroker()
    expect([await works(fresh, old.token), await works(fresh, rolled.json.token)]).toEqual([true, true])
    passTime(HOUR_MS + SECOND_MS)
    expect([await works(fresh, old.token), await works(fresh, rolled.json.token)]).toEqual([false, true])
    expect((await broker.admin('GET', TOKENS)).json.items).toMatchObject([{ previousValidUntil: null }])
  })

  it('An API token rolled without overlap loses its old secret at once, and the one before that too', async () => {
    const broker = await setUp()
    const first = (await create(broker)).json
    const roll = async (overlapSeconds: number) =>
      (await broker.admin('POST', `${TOKENS}/${first.id}/roll`, { overlapSeconds })).json
    const second = await roll(600)
    expect([await works(broker, first.token), await works(broker, second.token)]).toEqual([true, true])
    const third = await roll(0)
    const all = [first, second, third].map(({ token }) => works(broker, token))
    expect(await Promise.all(all)).toEqual([false, false, true])
  })

  it('An API token does not outlive its expiry through the overlap of a roll', async () => {
    const broker = await setUp()
    const old = (await create(broker, { expiresAt: new Date(Date.now() + 60 * SECOND_MS).toISOString() })).json
    const rolled = (await broker.admin('POST', `${TOKENS}/${old.id}/roll`, { overlapSeconds: 604_800 })).json
    passTime(61 * SECOND_MS)
    expect([await works(broker, old.token), await works(broker, rolled.token)]).toEqual([false, false])
  })

  it('An API token is neither created twice nor shown again under the same Idempotency-Key', async () => {
    const broker = await setUp()
    const headers = { 'idempotency-key': 'one-token' }
    expectOutcome(await create(broker, {}, headers), '201')
    expectOutcome(await create(broker, {}, headers), '409 secret_not_repeatable')
    expectOutcome(await create(broker, { name: 'other' }, headers), '422 idempotency_mismatch')
    expect((await broker.admin('GET', TOKENS)).json.items).toHaveLength(1)
    // An Idempotency-Key belongs to one tenant and one route, and is forgotten after a day.
    await newTenant(broker, 'other')
    const elsewhere = { name: 'server', scopes: ['tenant:read'] }
    expectOutcome(await broker.admin('POST', '/tenants/other/api-tokens', elsewhere, headers), '201')
    passTime(25 * HOUR_MS)
    expectOutcome(await create(broker, {}, headers), '201')
  })

  it('An API token is created once by parallel requests with one Idempotency-Key', async () => {
    const broker = await setUp()
    const headers = { 'idempotency-key': 'parallel' }
    const answers = await Promise.all(Array.from({ length: 5 }, () => create(broker, {}, headers)))
    expect(answers.map(outcomeOf).sort()).toEqual(['201', ...Array(4).fill('409 secret_not_repeatable')])
  })

  it(`A tenant has at most ${MAX_API_TOKENS} API tokens, also when they are created in parallel`, async () => {
    const broker = await setUp()
    const answers = await Promise.all(Array.from({ length: MAX_API_TOKENS + 5 }, () => create(broker)))
    const counts = Object.groupBy(answers.map(outcomeOf), (outcome) => outcome)
    expect(counts['201']).toHaveLength(MAX_API_TOKENS)
    expect(counts['409 conflict']).toHaveLength(5)
    const { id } = answers.find(({ status }) => status === 201)?.json ?? {}
    expectOutcome(await broker.admin('DELETE', `${TOKENS}/${id}`), '204')
    expectOutcome(await create(broker), '201')
  })
})
