/** Rotating a TURN key: proven, switched, retired; and what those get who go on naming the old one. */
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import type { FaultOrderInput } from '../emulator/client.ts'
import { expectStatus, keysPath } from './support/broker.ts'
import { HOUR_MS, MINUTE_MS, passTime } from './support/clock.ts'
import { expectProblem } from './support/doors.ts'
import { expectFailure, expectNoRepeat } from './support/errors.ts'
import { credentialRows, usable, usernameIn } from './support/issuing.ts'
import {
  expectAgreement,
  expectWorkingKey,
  newRotating,
  rotatePath,
  settle,
  states,
  unfinished,
} from './support/rotating.ts'
import { runJobs } from './support/storage.ts'
import { keyRows, tenantSql } from './support/tenantRows.ts'
import { countAsked, emulator, liveKeys } from './support/upstream.ts'

describe('a rotation', () => {
  it('answers with the new key, proven by one mint, and with what becomes of the old one', async () => {
    const acme = await newRotating()
    expectStatus(await acme.mint(), 201)
    await emulator.clearLog()
    const answer = await acme.rotate()
    expectStatus(answer, 201)
    const { key, replaced } = answer.json
    expect(key).toMatchObject({ name: 'first', state: 'active', key: expect.stringMatching(/^.{64}$/) })
    expect(key.uid).not.toBe(acme.uid)
    expect(replaced).toEqual({ uid: acme.uid, state: 'retiring', retiresAt: expect.any(String) })
    expect(
      (await emulator.log('generate-ice-servers')).map(({ path, body }) => [path.split('/').at(-3), body]),
    ).toEqual([[key.uid, { ttl: 60 }]])
    expect(await states()).toEqual(['retiring', 'active'])
    await expectWorkingKey(acme)
  })

  it('shows no secret to a token that may not see one', async () => {
    const acme = await newRotating()
    const answer = await acme.broker.call('POST', rotatePath('acme', acme.uid), env.ADMIN_TOKEN, {})
    expectStatus(answer, 201)
    expect(answer.json.key.key).toBeUndefined()
    expect(await keyRows('acme')).toMatchObject([{}, { revealed: 0 }])
  })

  it('is on the trail: asked, made, switched, and the old key gone', async () => {
    const acme = await newRotating()
    expectStatus(await acme.rotate(), 201)
    await settle()
    const { items } = (await acme.broker.call('GET', '/v1/tenants/acme/audit-events?limit=100', acme.token)).json
    const told = items.map(({ action, outcome }: Record<string, string>) => `${action} ${outcome}`).reverse()
    expect(told.filter((it: string) => it.startsWith('turn_key.')).slice(3)).toEqual([
      'turn_key.rotate begun',
      'turn_key.create done',
      'turn_key.rotate done',
      'turn_key.reveal done',
      'turn_key.delete done',
      'turn_key.deleted done',
    ])
  })

  it("goes on with the key's place: as the default of the policy, and as the oldest one without", async () => {
    const acme = await newRotating()
    expectStatus(await acme.broker.call('POST', keysPath('acme'), acme.token, { name: 'second' }), 201)
    const ownKey = async () => {
      const answer = await acme.ice(await acme.clientToken(`of ${crypto.randomUUID()}`))
      return (await credentialRows()).find(({ username }) => username === usernameIn(answer))?.key_uid
    }
    const first = (await acme.rotate()).json.key.uid
    expect(await ownKey()).toBe(first)
    const patch = { policy: { defaultKeyId: first } }
    expectStatus(await acme.broker.admin('PATCH', '/tenants/acme', patch), 200)
    const second = (await acme.rotate({}, { uid: first })).json.key.uid
    expect((await acme.broker.admin('GET', '/tenants/acme')).json.policy.defaultKeyId).toBe(second)
    expect(await ownKey()).toBe(second)
  })

  it('of a key that upstream has lost is its cure', async () => {
    const acme = await newRotating()
    expectStatus(await acme.mint(), 201)
    await emulator.removeKey(acme.uid)
    expectFailure(await acme.rename('x'), 'no_such_key')
    const answer = await acme.rotate()
    expectStatus(answer, 201)
    expect(answer.json.replaced).toEqual({ uid: acme.uid, state: 'deleting', retiresAt: null })
    await expectWorkingKey(acme)
  })

  it('is refused for a key that is none, deleted, replaced before, or of another tenant', async () => {
    const acme = await newRotating()
    expectProblem(await acme.rotate({}, { uid: 'k'.repeat(32) }), 'not_found')
    expectProblem(await acme.rotate({}, { uid: 'x' }), 'not_found')
    const { key } = (await acme.rotate()).json
    const again = await acme.rotate()
    expectProblem(again, 'conflict')
    expectNoRepeat(again)
    expectStatus(await acme.remove(key.uid), 200)
    expectProblem(await acme.rotate({}, { uid: key.uid }), 'not_found')
    expect(await countAsked('create')).toBe(2)
  })

  it('of a suspended tenant is for operators only', async () => {
    const acme = await newRotating()
    expectStatus(await acme.broker.admin('PATCH', '/tenants/acme', { status: 'suspended' }), 200)
    expectProblem(await acme.rotate(), 'tenant_suspended')
    expectStatus(await acme.broker.call('POST', rotatePath('acme', acme.uid), env.ADMIN_TOKEN, { revoke: true }), 201)
  })

  it('needs no place of maxTurnKeys, but there are no more on their way out than that', async () => {
    const acme = await newRotating({ maxTurnKeys: 1 })
    expectStatus(await acme.mint(), 201)
    const first = (await acme.rotate()).json.key.uid
    const full = await acme.rotate({}, { uid: first })
    expectProblem(full, 'turn_key_limit')
    expectNoRepeat(full)
    passTime(HOUR_MS)
    await settle()
    expectStatus(await acme.rotate({}, { uid: first }), 201)
  })

  it('under one Idempotency-Key happens once for each key', async () => {
    const acme = await newRotating()
    const first = await acme.rotate({}, { key: 'once' })
    const again = await acme.rotate({}, { key: 'once' })
    expect([again.status, again.json]).toEqual([201, first.json])
    expectProblem(await acme.rotate({ revoke: true }, { key: 'once' }), 'idempotency_mismatch')
    const next = await acme.rotate({}, { key: 'once', uid: first.json.key.uid })
    expectStatus(next, 201)
    expect(next.json.key.uid).not.toBe(first.json.key.uid)
    expect(await countAsked('create')).toBe(3)
  })
})

describe('who names a key that was rotated', () => {
  it("is served by its successor, and by that one's, until that is deleted", async () => {
    const acme = await newRotating()
    const named = await acme.clientToken('ann', { keyId: acme.uid })
    const second = (await acme.rotate({ revoke: true })).json.key.uid
    await settle()
    const third = (await acme.rotate({ revoke: true }, { uid: second })).json.key.uid
    await settle()
    expect(await states()).toEqual(['deleted', 'deleted', 'active'])
    expectFailure(await acme.get(), 'no_such_key')

    const operator = await acme.broker.call(
      'POST',
      `/v1/turn/keys/${acme.uid}/credentials/generate`,
      env.ADMIN_TOKEN,
      {},
    )
    const served = [
      await acme.mint(),
      await acme.mint(second),
      operator,
      await acme.ice(named),
      await acme.ice(await acme.clientToken('bob', { keyId: acme.uid })),
    ]
    for (const answer of served) expectStatus(answer, 201)
    const by = new Set((await credentialRows()).filter(({ state }) => state === 'live').map(({ key_uid }) => key_uid))
    expect([...by]).toEqual([third])

    expectStatus(await acme.remove(third), 200)
    expectFailure(await acme.mint(), 'no_such_key')
    expectProblem(await acme.ice(named), 'no_turn_key')
    expectProblem(await acme.post('/client-tokens', { subject: 'x', keyId: acme.uid }), 'invalid_request')
  })

  it('may make it the default: stored is its successor', async () => {
    const acme = await newRotating()
    const { key } = (await acme.rotate()).json
    const patched = await acme.broker.admin('PATCH', '/tenants/acme', { policy: { defaultKeyId: acme.uid } })
    expect(patched.json?.policy?.defaultKeyId, patched.text).toBe(key.uid)
  })

  it('may revoke under it what the successor minted, and under the new one what the old one did', async () => {
    const acme = await newRotating()
    const old = usernameIn(await acme.mint()) ?? ''
    const { key } = (await acme.rotate()).json
    const young = usernameIn(await acme.mint()) ?? ''
    const revoke = (uid: string, username: string) =>
      acme.broker.call('POST', `/v1/turn/keys/${uid}/credentials/${encodeURIComponent(username)}/revoke`, acme.token)
    expectStatus(await revoke(acme.uid, young), 204)
    expectStatus(await revoke(key.uid, old), 204)
    await runJobs('acme')
    expect(await usable()).toEqual([])
  })

  it('keeps a row that leads to the successor for as long as that is there', async () => {
    const acme = await newRotating()
    expectStatus(await acme.rotate({ revoke: true }), 201)
    await settle()
    passTime(31 * 24 * HOUR_MS)
    expectStatus(await acme.broker.call('POST', keysPath('acme'), acme.token, { name: 'other' }), 201)
    expect(await states()).toEqual(['deleted', 'active', 'active'])
    expectStatus(await acme.mint(), 201)
  })
})

describe('G6: a key that was rotated', () => {
  it('retires when the last credential it minted has expired, and not before', async () => {
    const acme = await newRotating()
    const own = [usernameIn(await acme.mint(acme.uid, 600)), usernameIn(await acme.mint(acme.uid, 3_600))]
    const { retiresAt } = (await acme.rotate()).json.replaced
    const [last] = await tenantSql('acme', 'SELECT max(expires_at) AS at FROM credentials')
    expect(Date.parse(retiresAt)).toBe(last?.at)
    passTime(Number(last?.at) - 1_000 - Date.now())
    await runJobs('acme')
    expect(await states()).toEqual(['retiring', 'active'])
    expectStatus(await acme.get(), 200)
    for (const username of own) expect(await usable()).toContain(username)

    passTime(3_000)
    for (let round = 0; round < 3; round++) await runJobs('acme')
    expect(await states()).toEqual(['deleted', 'active'])
    expect(await unfinished()).toEqual([])
    await expectAgreement()
  })

  it('retires earlier when what it minted was revoked', async () => {
    const acme = await newRotating({ maxTtl: 172_800 })
    expectStatus(await acme.mint(acme.uid, 172_800), 201)
    expectStatus(await acme.rotate(), 201)
    await acme.revocation({ keyId: acme.uid })
    await runJobs('acme')
    passTime(HOUR_MS + MINUTE_MS)
    for (let round = 0; round < 3; round++) await runJobs('acme')
    expect(await states()).toEqual(['deleted', 'active'])
  })

  it('goes at once with all that it minted, when that is asked', async () => {
    const acme = await newRotating()
    const old = [usernameIn(await acme.mint()), usernameIn(await acme.ice(await acme.clientToken()))]
    const answer = await acme.rotate({ revoke: true })
    expect(answer.json.replaced).toEqual({ uid: acme.uid, state: 'deleting', retiresAt: null })
    expect((await credentialRows()).filter(({ state }) => state === 'live')).toEqual([])
    await settle()
    expect(await states()).toEqual(['deleted', 'active'])
    for (const username of old) expect(await usable()).not.toContain(username)
    await expectAgreement()
    await expectWorkingKey(acme)
  })

  it('is asked for no mint any more', async () => {
    const acme = await newRotating()
    expectStatus(await acme.rotate(), 201)
    await emulator.clearLog()
    await expectWorkingKey(acme)
    expect((await emulator.log('generate-ice-servers')).filter(({ path }) => path.includes(acme.uid))).toEqual([])
  })

  it('that upstream has lost meanwhile goes without waiting', async () => {
    const acme = await newRotating()
    expectStatus(await acme.mint(), 201)
    expectStatus(await acme.rotate(), 201)
    await emulator.removeKey(acme.uid)
    expectFailure(await acme.rename('x'), 'no_such_key')
    expect(await states()).toEqual(['missing', 'active'])
    passTime(HOUR_MS)
    await settle()
    expect(await states()).toEqual(['deleted', 'active'])
  })
})

const doubts: [string, FaultOrderInput['fault']][] = [
  ['a reset after it took effect', { kind: 'reset', at: 'after-body' }],
  ['500 after it took effect', { kind: 'status', status: 500, when: 'after' }],
  ['half an answer', { kind: 'truncate', by: 'json' }],
  ['no key in it', { kind: 'shape', shape: 'missing-key' }],
  ['HTML', { kind: 'shape', shape: 'html' }],
]

describe('a rotation whose creation', () => {
  it.each(doubts)('is in doubt (%s) is told so, undone, and ends in the same final failure', async (_name, fault) => {
    const acme = await newRotating()
    await emulator.fault({ operation: 'create', fault })
    const answer = await acme.rotate({}, { key: 'once' })
    expectProblem(answer, 'outcome_unknown')
    expectNoRepeat(answer)
    await expectWorkingKey(acme)
    expectProblem(await acme.rotate({}, { key: 'once' }), 'outcome_unknown')
    passTime(2 * MINUTE_MS)
    await runJobs('acme')
    const final = await acme.rotate({}, { key: 'once' })
    expectProblem(final, 'upstream_failed')
    expectNoRepeat(final)
    expect(await states()).toEqual(['active', 'failed'])
    await expectAgreement()
    expectStatus(await acme.rotate({}, { key: 'twice' }), 201)
  })

  it('is refused leaves the old key as it was', async () => {
    const acme = await newRotating()
    await emulator.fault({ operation: 'create', fault: { kind: 'status', status: 403 } })
    expectProblem(await acme.rotate({}, { key: 'once' }), 'upstream_failed')
    expectProblem(await acme.rotate({}, { key: 'once' }), 'upstream_failed')
    expect(await countAsked('create')).toBe(2)
    expect(await unfinished()).toEqual([])
    await expectWorkingKey(acme)
    await expectAgreement()
  })
})

describe('a new key that does not mint', () => {
  const refuse = (status: number) =>
    emulator.fault({ operation: 'generate-ice-servers', fault: { kind: 'status', status }, times: 'always' })

  it.each([401, 403, 404, 500, 503])(
    'yet (%i) is proven by the job, and the old one mints until then',
    async (status) => {
      const acme = await newRotating()
      await refuse(status)
      const answer = await acme.rotate({}, { key: 'once' })
      expectProblem(answer, 'outcome_unknown')
      expectNoRepeat(answer)
      expect(await states()).toEqual(['active', 'creating'])
      expectProblem(await acme.rotate({}, { key: 'twice' }), 'conflict')
      await emulator.clearFaults()
      await expectWorkingKey(acme)
      passTime(MINUTE_MS)
      await runJobs('acme')
      expect(await states()).toEqual(['retiring', 'active'])
      const again = await acme.rotate({}, { key: 'once' })
      expectStatus(again, 201)
      expect(again.json.key.key).toMatch(/^.{64}$/)
      await expectWorkingKey(acme)
      await expectAgreement()
    },
  )

  it('at all is deleted again after a quarter of an hour, and the old one stays', async () => {
    const acme = await newRotating()
    await refuse(401)
    expectProblem(await acme.rotate({}, { key: 'once' }), 'outcome_unknown')
    await settle({ forMs: HOUR_MS })
    await emulator.clearFaults()
    const final = await acme.rotate({}, { key: 'once' })
    expectProblem(final, 'upstream_failed')
    expectNoRepeat(final)
    expect(await states()).toEqual(['active', 'deleted'])
    expect((await liveKeys()).map(({ uid }) => uid)).toEqual([acme.uid])
    await expectWorkingKey(acme)
    expectStatus(await acme.rotate({}, { key: 'twice' }), 201)
  })

  it('is proven at the second try of the same request', async () => {
    const acme = await newRotating()
    await emulator.fault({ operation: 'generate-ice-servers', fault: { kind: 'status', status: 403 }, times: 1 })
    expectStatus(await acme.rotate(), 201)
  })
})
