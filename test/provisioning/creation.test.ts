/** Creating a TURN key: the steps in their order, and how many keys a tenant may have. */
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { open } from '../../src/crypto/seal.ts'
import { parseConfig } from '../../src/env.ts'
import { expectStatus, keysPath, newBroker, newTenant, newToken, newTurnKey } from '../support/broker/broker.ts'
import { expectFailure, expectNoRepeat } from '../support/broker/errors.ts'
import { countAsked, emulator, liveKeys } from '../support/broker/upstream.ts'
import { accountSql, jobRows, keyRows, tenantSql } from '../support/storage/tenantRows.ts'

describe('a creation', () => {
  it('A creation has stored its intent and its job before upstream is asked', async () => {
    const broker = newBroker()
    const acme = await newTenant(broker, 'acme')
    await emulator.hold('create', 'open')
    const created = broker.call('POST', keysPath('acme'), acme.token, { name: 'first' })
    await emulator.untilHeld('open')

    const [row] = await keyRows('acme')
    expect(row).toMatchObject({ state: 'creating', name: 'first', uid: null, sealed: null })
    expect(await jobRows('acme')).toMatchObject([{ kind: 'settle-creation', key: row?.intent }])
    const audit = await tenantSql('acme', "SELECT outcome FROM audit_events WHERE action = 'turn_key.create'")
    expect(audit).toEqual([{ outcome: 'begun' }])
    expect((await broker.call('GET', keysPath('acme'), acme.token)).json.result).toEqual([])

    await emulator.release('open')
    expectStatus(await created, 201)
    expect(await keyRows('acme')).toMatchObject([{ state: 'active', intent: row?.intent }])
    expect(await jobRows('acme')).toEqual([])
  })

  it('A creation names the key upstream by deployment and intent, and to the tenant as the tenant named it', async () => {
    const broker = newBroker()
    const acme = await newTenant(broker, 'acme')
    for (const name of ['first', '', '  spaces  ', 'ünï – 😀', 'x'.repeat(100)]) {
      const created = await broker.call('POST', keysPath('acme'), acme.token, { name })
      expect(created.json.result, created.text).toMatchObject({ name })
      const row = (await keyRows('acme')).at(-1)
      expect(row?.intent).toMatch(/^[0-9A-Za-z]{17}$/)
      const upstream = (await liveKeys()).find(({ uid }) => uid === row?.uid)
      expect(upstream?.name).toBe(`tb.test.${row?.intent} ${name}`.trimEnd())
    }
    expect(await countAsked('create')).toBe(5)
  })

  it('A creation stores the secret sealed for its tenant and key, records the owner, and audits both steps', async () => {
    const broker = newBroker()
    const acme = await newTenant(broker, 'acme')
    const uid = await newTurnKey(broker, acme)
    const [row] = await keyRows('acme')
    const secret = (await emulator.secrets()).keys.find((key) => key.uid === uid)?.key ?? ''
    expect(secret).toHaveLength(64)
    expect(row?.sealed).not.toContain(secret)
    const parsed = parseConfig(env)
    if (!parsed.ok) throw new Error(parsed.variable)
    const place = { purpose: 'turn-key-secret', tenant: 'acme', record: uid, version: 1 } as const
    expect(await open(parsed.config.rootKeys, place, String(row?.sealed))).toBe(secret)
    expect(await accountSql('SELECT uid, tenant FROM turn_key_owners')).toEqual([{ uid, tenant: 'acme' }])
    const audit = await tenantSql(
      'acme',
      "SELECT actor, target, outcome FROM audit_events WHERE action = 'turn_key.create' ORDER BY seq",
    )
    const actor = `api-token:${acme.tokenId}`
    expect(audit).toEqual([
      { actor, target: row?.intent, outcome: 'begun' },
      { actor, target: uid, outcome: 'done' },
    ])
  })

  it('A creation marks a key whose secret it showed, and only such a key', async () => {
    const broker = newBroker()
    const acme = await newTenant(broker, 'acme')
    const revealing = await newToken(broker, 'acme', ['turn_keys:write', 'turn_keys:reveal'])
    await newTurnKey(broker, acme)
    await newTurnKey(broker, { id: 'acme', token: revealing.token })
    const byOperator = await broker.call('POST', keysPath('acme'), env.ADMIN_TOKEN, {})
    expect(byOperator.json.result, byOperator.text).not.toHaveProperty('key')
    expect((await keyRows('acme')).map(({ revealed }) => revealed)).toEqual([0, 1, 0])
  })

  it('A creation accepts the create answer of before September 2025, which has no envelope', async () => {
    const broker = newBroker()
    const acme = await newTenant(broker, 'acme')
    await emulator.settings({ createAnswer: 'bare' })
    const uid = await newTurnKey(broker, acme)
    expect((await liveKeys()).map((key) => key.uid)).toEqual([uid])
  })
})

describe('maxTurnKeys', () => {
  it('MaxTurnKeys is exact under twenty parallel creations, and the refused ones never reach upstream', async () => {
    const broker = newBroker()
    const acme = await newTenant(broker, 'acme', { policy: { maxTurnKeys: 5 } })
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, n) => broker.call('POST', keysPath('acme'), acme.token, { name: `key ${n}` })),
    )
    const refused = answers.filter(({ status }) => status !== 201)
    expect(refused).toHaveLength(15)
    for (const answer of refused) {
      expectFailure(answer, 'turn_key_limit')
      expectNoRepeat(answer)
    }
    expect(await liveKeys()).toHaveLength(5)
    expect(await countAsked('create')).toBe(5)
  })

  it('MaxTurnKeys counts what is being created, doubtful or going, and frees a place when a key is gone', async () => {
    const broker = newBroker()
    const acme = await newTenant(broker, 'acme', { policy: { maxTurnKeys: 3 } })
    const create = () => broker.call('POST', keysPath('acme'), acme.token, {})
    const uid = await newTurnKey(broker, acme)
    await emulator.fault({ operation: 'create', fault: { kind: 'status', status: 500 } })
    expectFailure(await create(), 'outcome_unknown')
    await emulator.hold('create', 'open')
    const held = create()
    await emulator.untilHeld('open')
    expectFailure(await create(), 'turn_key_limit')
    await emulator.release('open')
    expectStatus(await held, 201)

    await emulator.fault({ operation: 'delete', fault: { kind: 'status', status: 500 } })
    expectFailure(await broker.call('DELETE', keysPath('acme', uid), acme.token), 'upstream_failed')
    expectFailure(await create(), 'turn_key_limit')
    expectStatus(await broker.call('DELETE', keysPath('acme', uid), acme.token), 200)
    expectStatus(await create(), 201)
  })

  it('MaxTurnKeys of zero allows none', async () => {
    const broker = newBroker()
    const acme = await newTenant(broker, 'acme', { policy: { maxTurnKeys: 0 } })
    expectFailure(await broker.call('POST', keysPath('acme'), acme.token, {}), 'turn_key_limit')
    expect(await countAsked('create')).toBe(0)
  })
})
