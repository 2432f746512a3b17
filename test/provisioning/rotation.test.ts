/** Rotating a TURN key: proven, switched, retired; and what those get who go on naming the old one. */
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { expectStatus, keysPath } from '../support/broker/broker.ts'
import { HOUR_MS, passTime } from '../support/broker/clock.ts'
import { expectProblem } from '../support/broker/doors.ts'
import { expectFailure, expectNoRepeat } from '../support/broker/errors.ts'
import { countAsked, emulator } from '../support/broker/upstream.ts'
import { runJobs } from '../support/storage/storage.ts'
import { keyRows } from '../support/storage/tenantRows.ts'
import { credentialRows, usable, usernameIn } from '../support/tenants/issuing.ts'
import { expectWorkingKey, newRotating, rotatePath, settle, states } from '../support/tenants/rotating.ts'

describe('a rotation', () => {
  it('A rotation answers with the new key, proven by one mint, and with what becomes of the old one', async () => {
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

  it('A rotation shows no secret to a token that may not see one', async () => {
    const acme = await newRotating()
    const answer = await acme.broker.call('POST', rotatePath('acme', acme.uid), env.ADMIN_TOKEN, {})
    expectStatus(answer, 201)
    expect(answer.json.key.key).toBeUndefined()
    expect(await keyRows('acme')).toMatchObject([{}, { revealed: 0 }])
  })

  it('A rotation is on the trail: asked, made, switched, and the old key gone', async () => {
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

  it("A rotation goes on with the key's place: as the default of the policy, and as the oldest one without", async () => {
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

  it('A rotation of a key that upstream has lost is its cure', async () => {
    const acme = await newRotating()
    expectStatus(await acme.mint(), 201)
    await emulator.removeKey(acme.uid)
    expectFailure(await acme.rename('x'), 'no_such_key')
    const answer = await acme.rotate()
    expectStatus(answer, 201)
    expect(answer.json.replaced).toEqual({ uid: acme.uid, state: 'deleting', retiresAt: null })
    await expectWorkingKey(acme)
  })

  it('A rotation is refused for a key that is none, deleted, replaced before, or of another tenant', async () => {
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

  it('A rotation of a suspended tenant is for operators only', async () => {
    const acme = await newRotating()
    expectStatus(await acme.broker.admin('PATCH', '/tenants/acme', { status: 'suspended' }), 200)
    expectProblem(await acme.rotate(), 'tenant_suspended')
    expectStatus(await acme.broker.call('POST', rotatePath('acme', acme.uid), env.ADMIN_TOKEN, { revoke: true }), 201)
  })

  it('A rotation needs no place of maxTurnKeys, but there are no more on their way out than that', async () => {
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

  it('A rotation under one Idempotency-Key happens once for each key', async () => {
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
  it("Who names a key that was rotated is served by its successor, and by that one's, until that is deleted", async () => {
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

  it('Who names a key that was rotated may make it the default: stored is its successor', async () => {
    const acme = await newRotating()
    const { key } = (await acme.rotate()).json
    const patched = await acme.broker.admin('PATCH', '/tenants/acme', { policy: { defaultKeyId: acme.uid } })
    expect(patched.json?.policy?.defaultKeyId, patched.text).toBe(key.uid)
  })

  it('Who names a key that was rotated may revoke under it what the successor minted, and under the new one what the old one did', async () => {
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

  it('Who names a key that was rotated keeps a row that leads to the successor for as long as that is there', async () => {
    const acme = await newRotating()
    expectStatus(await acme.rotate({ revoke: true }), 201)
    await settle()
    passTime(31 * 24 * HOUR_MS)
    expectStatus(await acme.broker.call('POST', keysPath('acme'), acme.token, { name: 'other' }), 201)
    expect(await states()).toEqual(['deleted', 'active', 'active'])
    expectStatus(await acme.mint(), 201)
  })
})
