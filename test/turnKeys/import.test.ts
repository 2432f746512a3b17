/** Importing a TURN key with its secret: proven, owned by one tenant, nothing left behind when it comes to nothing. */
import { env } from 'cloudflare:workers'
import { describe, expect, it, vi } from 'vitest'
import type { FaultOrderInput } from '../../emulator/client.ts'
import type { Answer } from '../support/broker/answer.ts'
import { expectStatus, keysPath, newBroker, newTenant, newTurnKey } from '../support/broker/broker.ts'
import { MINUTE_MS, passTime, SECOND_MS, until } from '../support/broker/clock.ts'
import { expectProblem } from '../support/broker/doors.ts'
import { countAsked, emulator, liveKeys, plantedKey } from '../support/broker/upstream.ts'
import { leaks } from '../support/secrets/secrets.ts'
import { watchLogs } from '../support/secrets/secretWatch.ts'
import { everythingStored, runJobs } from '../support/storage/storage.ts'
import { accountSql, breakAudit, jobRows, keyRows, repairAudit, tenantSql } from '../support/storage/tenantRows.ts'
import { killObjects } from '../support/tenants/issuing.ts'

const importPath = (tenant: string) => `/tenants/${tenant}/turn-keys/import`
const owners = () => accountSql('SELECT uid, tenant FROM turn_key_owners ORDER BY uid')

async function setUp(policy: object = {}) {
  const broker = newBroker()
  const acme = await newTenant(broker, 'acme', {
    scopes: ['turn_keys:read', 'turn_keys:write', 'credentials:issue'],
    policy,
  })
  const planted = await plantedKey('from elsewhere')
  const bring = (body: object = planted, headers: Record<string, string> = {}, tenant = 'acme') =>
    broker.admin('POST', importPath(tenant), body, headers)
  const mint = (uid = planted.uid) =>
    broker.call('POST', `/v1/turn/keys/${uid}/credentials/generate`, acme.token, { ttl: 600 })
  return { broker, acme, planted, bring, mint }
}

/** What an import that came to nothing leaves: nothing here, and upstream the key as it was. */
async function expectNothing(planted: { uid: string }): Promise<void> {
  expect(await keyRows('acme')).toEqual([])
  expect(await jobRows('acme')).toEqual([])
  expect(await owners()).toEqual([])
  expect((await liveKeys()).map(({ uid }) => uid)).toEqual([planted.uid])
}

describe('an import', () => {
  it("An import makes the key the tenant's: listed, marked as revealed, and it mints", async () => {
    const { broker, acme, planted, bring, mint } = await setUp()
    const answer = await bring()
    expectStatus(answer, 201)
    expect(answer.json).toMatchObject({ uid: planted.uid, name: 'from elsewhere', state: 'active' })
    expect(answer.text).not.toContain(planted.key)
    expectStatus(await mint(), 201)
    const list = await broker.call('GET', keysPath('acme'), acme.token)
    expect(list.json.result).toEqual([answer.json])
    expect(await keyRows('acme')).toMatchObject([{ state: 'active', revealed: 1, secret_version: 1 }])
    expect(await owners()).toEqual([{ uid: planted.uid, tenant: 'acme' }])
    const trail = await tenantSql(
      'acme',
      "SELECT actor, target, outcome FROM audit_events WHERE action = 'turn_key.import'",
    )
    expect(trail).toEqual([{ actor: 'admin:token', target: planted.uid, outcome: 'done' }])
  })

  it('An import is proven by one mint of a minute, which is revoked', async () => {
    const { bring } = await setUp()
    expectStatus(await bring(), 201)
    const [asked] = await emulator.log('generate-ice-servers')
    expect(asked?.body).toEqual({ ttl: 60 })
    passTime(MINUTE_MS / 2)
    await runJobs('acme')
    await until('the job has ended', async () => (await jobRows('acme')).every(({ kind }) => kind === 'prune'))
    expect((await emulator.state()).credentials).toMatchObject([{ revoked: true }])
    expect(await tenantSql('acme', 'SELECT state FROM credentials')).toEqual([{ state: 'revoked' }])
  })

  it("An import takes the name that is given, and of a marked name the tenant's part", async () => {
    const { bring } = await setUp()
    const marked = await plantedKey(`tb.${env.DEPLOYMENT}.${'i'.repeat(17)} of a lost tenant`)
    expect((await bring(marked)).json?.name).toBe('of a lost tenant')
    expect(await keyRows('acme')).toMatchObject([{ intent: 'i'.repeat(17) }])
    const other = await plantedKey('there')
    expect((await bring({ ...other, name: 'here' })).json?.name).toBe('here')
  })

  it.each([
    ['5,003 characters', 'x'.repeat(5_003)],
    ['a NUL byte', 'a\u0000b'],
    ['a mark that turns the text around', 'a\u202eb'],
  ])('An import is refused when the name at Cloudflare has %s, until a name is given', async (_what, name) => {
    const { bring } = await setUp()
    const planted = await plantedKey(name)
    const refused = await bring(planted)
    expectProblem(refused, 'invalid_request')
    expect(refused.json.detail).toMatch(/^name: /)
    expect(await keyRows('acme')).toEqual([])
    expect((await bring({ ...planted, name: 'good' })).json?.name).toBe('good')
  })

  it('An import under one Idempotency-Key happens once', async () => {
    const { bring, planted } = await setUp()
    const once = { 'idempotency-key': 'once' }
    const first = await bring(planted, once)
    expectStatus(first, 201)
    const again = await bring(planted, once)
    expect([again.status, again.json]).toEqual([201, first.json])
    expect(await countAsked('generate-ice-servers')).toBe(1)
    expectProblem(await bring({ ...planted, name: 'other' }, once), 'idempotency_mismatch')
  })

  it('An import of a key the tenant has replaces its secret: the cure for a lost secret', async () => {
    const { bring, planted, mint } = await setUp()
    expectStatus(await bring(), 201)
    await tenantSql('acme', "UPDATE turn_keys SET sealed = '1.gone.AAAA'")
    expect((await mint()).status).toBe(500)
    expectStatus(await bring(), 201)
    expectStatus(await mint(), 201)
    expect(await keyRows('acme')).toMatchObject([{ uid: planted.uid, secret_version: 2 }])
  })

  it('An import of a key that was deleted here, and is there all the same, brings it back', async () => {
    const { broker, acme, bring, planted, mint } = await setUp()
    expectStatus(await bring(), 201)
    await tenantSql('acme', "UPDATE turn_keys SET state = 'deleted', sealed = NULL")
    expectStatus(await bring(), 201)
    expectStatus(await mint(), 201)
    expect((await keyRows('acme')).map(({ state, uid }) => [state, uid])).toEqual([
      ['deleted', null],
      ['active', planted.uid],
    ])
    expectStatus(await broker.call('DELETE', keysPath('acme', planted.uid), acme.token), 200)
  })
})

describe('an import is refused', () => {
  it('An import is refused of a key that another tenant has, and leaves it there', async () => {
    const { broker, bring } = await setUp()
    const other = await newTenant(broker, 'other')
    const uid = await newTurnKey(broker, other)
    const key = (await emulator.secrets()).keys.find((each) => each.uid === uid)?.key ?? ''
    expectProblem(await bring({ uid, key }), 'conflict')
    expect(await owners()).toEqual([{ uid, tenant: 'other' }])
    expect(await countAsked('generate-ice-servers')).toBe(0)
  })

  const refusals: Record<string, (planted: { uid: string; key: string }) => Promise<object>> = {
    'of a key the account does not have': async ({ key }) => ({ uid: 'k'.repeat(32), key }),
    'of a key of another account': async () => {
      const { uid, key } = await emulator.plantKey({ account: 'f'.repeat(32) })
      await emulator.removeKey(uid)
      return { uid, key }
    },
    'with a secret that is not its own': async ({ uid }) => ({ uid, key: 'x'.repeat(64) }),
  }
  it.each(Object.entries(refusals))('An import is refused %s, and leaves nothing behind', async (_name, body) => {
    const { bring, planted } = await setUp()
    expectProblem(await bring(await body(planted), { 'idempotency-key': 'once' }), 'conflict')
    await expectNothing(planted)
  })

  it('An import is refused of a key of another deployment', async () => {
    const { bring } = await setUp()
    const theirs = await plantedKey(`tb.elsewhere.${'i'.repeat(17)} theirs`)
    expectProblem(await bring(theirs), 'conflict')
    expect(await keyRows('acme')).toEqual([])
  })

  it('An import is refused above maxTurnKeys, and for a suspended tenant', async () => {
    const { broker, bring, planted } = await setUp({ maxTurnKeys: 0 })
    expectProblem(await bring(), 'turn_key_limit')
    const patch = { status: 'suspended', policy: { maxTurnKeys: null } }
    expectStatus(await broker.admin('PATCH', '/tenants/acme', patch), 200)
    expectProblem(await bring(), 'tenant_suspended')
    await expectNothing(planted)
  })
})

const faults: [string, FaultOrderInput][] = [
  ['the look-up fails', { operation: 'get', fault: { kind: 'status', status: 500 } }],
  ['the look-up is answered with HTML', { operation: 'get', fault: { kind: 'shape', shape: 'html' } }],
  ['the look-up is told to wait', { operation: 'get', fault: { kind: 'rate-limit' } }],
  [
    'the proof fails for good',
    { operation: 'generate-ice-servers', fault: { kind: 'status', status: 500 }, times: 'always' },
  ],
  [
    'the proof is nonsense',
    { operation: 'generate-ice-servers', fault: { kind: 'shape', shape: 'wrong-types' }, times: 'always' },
  ],
]

describe('an import that fails', () => {
  it.each(faults)(
    'An import that fails (%s) leaves nothing behind and may simply be repeated',
    async (_name, order) => {
      const { bring, planted } = await setUp()
      await emulator.fault(order)
      const once = { 'idempotency-key': 'once' }
      const failed = await bring(planted, once)
      expect(failed.status, failed.text).toBeGreaterThanOrEqual(500)
      expect(failed.headers.get('x-should-retry')).toBeNull()
      await expectNothing(planted)
      await emulator.clearFaults()
      passTime(10 * SECOND_MS) // longer than upstream asked to wait
      expectStatus(await bring(planted, once), 201)
    },
  )

  it('An import that fails is proven at the second try when the first one fails', async () => {
    const { bring } = await setUp()
    await emulator.fault({ operation: 'generate-ice-servers', fault: { kind: 'status', status: 503 }, times: 2 })
    expectStatus(await bring(), 201)
    expect(await countAsked('generate-ice-servers')).toBe(3)
  })

  it('An import that fails because nothing can be stored gives up what it claimed', async () => {
    const { bring, planted } = await setUp()
    await breakAudit('acme', "NEW.action = 'turn_key.import'")
    expectProblem(await bring(), 'storage_failed')
    await repairAudit('acme')
    await expectNothing(planted)
  })

  it('An import that fails because the object died gives up what it claimed, by its job', async () => {
    const { broker, planted, bring } = await setUp()
    await emulator.hold('generate-ice-servers', 'proof')
    const dying: Promise<Answer> = bring(planted, { 'idempotency-key': 'once' })
    await emulator.untilHeld('proof')
    expect(await owners()).toHaveLength(1)
    await killObjects()
    expectProblem(await dying, 'storage_failed')
    await emulator.release('proof')
    passTime(MINUTE_MS)
    await runJobs('acme')
    await expectNothing(planted)
    await newTenant(broker, 'other')
    expectStatus(await bring(planted, {}, 'other'), 201)
  })
})

describe('G2: the secret of an import', () => {
  it('G2: The secret of an import is in no log, storage or answer', async () => {
    const logged = watchLogs()
    const { bring, planted } = await setUp()
    const answers = [await bring()]
    await breakAudit('acme')
    answers.push(await bring())
    await repairAudit('acme')
    answers.push(await bring({ ...planted, uid: 'k'.repeat(32) }), await bring({ ...planted, extra: planted.key }))
    const secret = [{ name: 'the secret', value: planted.key }]
    const told = answers.map(({ text, headers }) => text + JSON.stringify([...headers])).join('\n')
    expect(leaks(told + logged() + (await everythingStored()), secret)).toEqual([])
    vi.restoreAllMocks()
  })
})
