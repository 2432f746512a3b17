/** G5: after the sweep, upstream and we agree: no orphan is left, nothing that is used or not ours is touched. */
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { type Broker, expectStatus, keysPath, newBroker, newTenant, newTurnKey } from './support/broker.ts'
import { HOUR_MS, MINUTE_MS, passTime } from './support/clock.ts'
import { auditOf, generate, served } from './support/doors.ts'
import { expectFailure } from './support/errors.ts'
import { runJobs } from './support/storage.ts'
import { found, setBothClocks, sweepNow } from './support/sweeps.ts'
import { accountSql, jobRows, keyRows, tenantSql } from './support/tenantRows.ts'
import { countAsked, emulator, liveKeys } from './support/upstream.ts'

const uids = async () => (await liveKeys()).map(({ uid }) => uid).sort()
const states = async (tenant: string) => (await keyRows(tenant)).map(({ state }) => state)
const settle = () => passTime(11 * MINUTE_MS)
const LOOKS_MS = [MINUTE_MS, 5 * MINUTE_MS, 15 * MINUTE_MS, HOUR_MS, 24 * HOUR_MS]

/** Upstream says that it has no such key, and keeps it. */
async function deletedInNameOnly(broker: Broker, tenant: { id: string; token: string }): Promise<string> {
  const uid = await newTurnKey(broker, tenant)
  await emulator.fault({ operation: 'delete', fault: { kind: 'status', status: 404 } })
  expectStatus(await broker.call('DELETE', keysPath(tenant.id, uid), tenant.token), 200)
  expect(await states(tenant.id)).toEqual(['deleted'])
  return uid
}

describe('G5: the sweep deletes what a final row says must not be', () => {
  it('a key that upstream kept although it said that there was none', async () => {
    const broker = newBroker()
    const acme = await newTenant(broker, 'acme')
    const uid = await deletedInNameOnly(broker, acme)
    settle()
    const kept = await newTurnKey(broker, acme, 'second')
    expect(found(await sweepNow(broker, 'acme'))).toEqual({ orphan: [uid] })
    expect(await uids()).toEqual([kept])
    expect(await auditOf(broker, 'acme', '&action=turn_key.undo')).toMatchObject([{ target: uid, actor: 'broker' }])
    settle()
    expect(found(await sweepNow(broker))).toEqual({})
  })

  it('what a creation left that was given up after a day, because the list lagged for two', async () => {
    const broker = newBroker()
    const acme = await newTenant(broker, 'acme')
    await emulator.settings({ listLagMs: 48 * HOUR_MS })
    await emulator.fault({ operation: 'create', fault: { kind: 'status', status: 502, when: 'after' } })
    expectFailure(await broker.call('POST', keysPath('acme'), acme.token, {}), 'outcome_unknown')
    const begunAt = Number((await keyRows('acme'))[0]?.begun_at)
    for (const dueMs of LOOKS_MS) {
      await setBothClocks(begunAt + dueMs, begunAt)
      await runJobs('acme')
    }
    expect(await states('acme')).toEqual(['failed'])
    expect(found(await sweepNow(broker, 'acme'))).toEqual({})
    const [left] = await uids()
    await setBothClocks(begunAt + 48 * HOUR_MS + MINUTE_MS, begunAt)
    expect(found(await sweepNow(broker, 'acme'))).toEqual({ orphan: [left] })
    expect(await uids()).toEqual([])
    expect(await jobRows('acme')).toEqual([])
  })

  it('a second key under the marker of one that is in use', async () => {
    const broker = newBroker()
    const acme = await newTenant(broker, 'acme')
    const uid = await newTurnKey(broker, acme)
    const [key] = await liveKeys()
    const twin = await emulator.plantKey({ account: key?.account ?? '', name: key?.name ?? '' })
    settle()
    expect(found(await sweepNow(broker, 'acme'))).toEqual({ orphan: [twin.uid] })
    expect(await uids()).toEqual([uid])
  })

  it('again and again, until upstream has done it, and not when the row has changed its mind', async () => {
    const broker = newBroker()
    const acme = await newTenant(broker, 'acme')
    const uid = await deletedInNameOnly(broker, acme)
    settle()
    await emulator.fault({ operation: 'delete', fault: { kind: 'status', status: 500 } })
    await sweepNow(broker, 'acme')
    expect(await uids()).toEqual([uid])
    await tenantSql('acme', "UPDATE turn_keys SET state = 'active'")
    passTime(MINUTE_MS)
    await runJobs('acme')
    expect(await uids(), 'the evidence is read again before the act').toEqual([uid])
    await tenantSql('acme', "UPDATE turn_keys SET state = 'deleted'")
    await sweepNow(broker, 'acme')
    expect(await uids()).toEqual([])
    expect(await jobRows('acme')).toEqual([])
  })

  it('a doubtful creation at once, instead of at its next look', async () => {
    const broker = newBroker()
    const acme = await newTenant(broker, 'acme')
    await emulator.settings({ listLagMs: 2 * MINUTE_MS })
    await emulator.fault({ operation: 'create', fault: { kind: 'reset', at: 'mid-response' } })
    expectFailure(await broker.call('POST', keysPath('acme'), acme.token, {}), 'outcome_unknown')
    const begunAt = Number((await keyRows('acme'))[0]?.begun_at)
    await setBothClocks(begunAt + MINUTE_MS, begunAt)
    await runJobs('acme')
    expect(await states('acme')).toEqual(['unknown'])
    await setBothClocks(begunAt + 3 * MINUTE_MS, begunAt)
    await sweepNow(broker, 'acme')
    expect(await states('acme')).toEqual(['failed'])
    expect(await uids()).toEqual([])
  })
})

describe('G5: the sweep touches nothing', () => {
  it('of others: foreign keys, other deployments, markers and keys that no tenant knows; no name is told', async () => {
    const broker = newBroker()
    const acme = await newTenant(broker, 'acme')
    const uid = await newTurnKey(broker, acme)
    const lost = await newTurnKey(broker, acme, 'lost')
    await tenantSql('acme', `DELETE FROM turn_keys WHERE uid = '${lost}'`)
    const account = (await liveKeys())[0]?.account ?? ''
    const intent = String((await keyRows('acme'))[0]?.intent)
    const plant = async (...names: string[]) => {
      const keys = await Promise.all(names.map((name) => emulator.plantKey({ account, name })))
      return keys.map((key) => key.uid).sort()
    }
    const near = [
      `tb.test.${intent}x`,
      ` tb.test.${intent}`,
      `tb.test.${intent.slice(1)}`,
      `TB.test.${intent}`,
      `tb.tes.${intent}`,
    ]
    const expected = {
      foreign: await plant('', 'PAYROLL of Ann', 'tb.test', 'tb.test. x', ...near),
      lost: [lost],
      'other-deployment': await plant(`tb.other.${intent} PAYROLL`, `tb.test2.${intent}`),
      unclaimed: await plant(`tb.test.${'x'.repeat(17)} PAYROLL`, `tb.test.${'y'.repeat(17)}`),
    }
    const before = await uids()
    passTime(48 * HOUR_MS)
    const view = await sweepNow(broker, 'acme')
    passTime(HOUR_MS)
    await sweepNow(broker, 'acme')
    expect(await uids()).toEqual(before)
    expect(await countAsked('delete')).toBe(0)
    expect(await countAsked('update')).toBe(0)
    expect(found(view)).toEqual(expected)
    expect(JSON.stringify(view)).not.toContain('PAYROLL')
    expect(JSON.stringify(view)).not.toContain(uid)
    expect(view.turnKeys).toMatchObject({ count: before.length, limit: 1_000 })
  })

  it('of a tenant that is no more', async () => {
    const broker = newBroker()
    const acme = await newTenant(broker, 'acme')
    await deletedInNameOnly(broker, acme)
    const [uid] = await uids()
    expectStatus(await broker.admin('DELETE', '/tenants/acme?cascade=true'), 202)
    passTime(MINUTE_MS)
    await runJobs('acme')
    settle()
    const view = await sweepNow(broker)
    expect(view.sweep.findings).toMatchObject([{ uid, class: 'unclaimed', tenant: 'acme' }])
    expect(await uids()).toEqual([uid])
  })

  it('of a creation under way, however long it takes', async () => {
    const broker = newBroker()
    const acme = await newTenant(broker, 'acme')
    await emulator.hold('create', 'slow', { when: 'after' })
    const creation = broker.call('POST', keysPath('acme'), acme.token, {})
    await emulator.untilHeld('slow')
    settle()
    expect(found(await sweepNow(broker))).toEqual({})
    await emulator.release('slow')
    expectStatus(await creation, 201)
    expect(await countAsked('delete')).toBe(0)
    expect(await states('acme')).toEqual(['active'])
  })

  it('of a key that could not be imported: it is not ours', async () => {
    const broker = newBroker()
    await newTenant(broker, 'acme')
    const { uid } = await emulator.plantKey({ account: env.CLOUDFLARE_ACCOUNT_ID, name: 'by hand' })
    await tenantSql(
      'acme',
      `INSERT INTO turn_keys (intent, uid, state, name, begun_at, state_at) VALUES ('i', '${uid}', 'failed', '', 0, 0)`,
    )
    await accountSql(`INSERT INTO turn_key_owners VALUES ('${uid}', 'acme', 0)`)
    passTime(MINUTE_MS)
    expect(found(await sweepNow(broker, 'acme'))).toEqual({ lost: [uid] })
    expect(await uids()).toEqual([uid])
  })
})

describe('G5: that a key is not listed', () => {
  it('is no evidence: a list that lags makes nothing missing and deletes nothing', async () => {
    const broker = newBroker()
    const acme = await newTenant(broker, 'acme')
    await emulator.settings({ listLagMs: HOUR_MS })
    const uid = await newTurnKey(broker, acme)
    passTime(11 * MINUTE_MS)
    expect(found(await sweepNow(broker, 'acme'))).toEqual({})
    expect(await countAsked('get')).toBe(1)
    expect(await states('acme')).toEqual(['active'])
    expect(await uids()).toEqual([uid])
  })

  it('is settled by one look-up: gone is missing, told in the list, the trail and the account; it mints no more', async () => {
    const broker = newBroker()
    const acme = await served(broker)
    await emulator.removeKey(acme.uid)
    settle()
    const view = await sweepNow(broker, 'acme')
    expect(view.sweep.findings).toMatchObject([{ uid: acme.uid, class: 'missing', tenant: 'acme' }])
    expect(await countAsked('get')).toBe(1)
    const list = await broker.call('GET', keysPath('acme'), acme.token)
    expect(list.json.result).toMatchObject([{ uid: acme.uid, state: 'missing' }])
    expect(await auditOf(broker, 'acme', '&action=turn_key.missing')).toHaveLength(1)
    passTime(MINUTE_MS)
    await sweepNow(broker, 'acme')
    expect(await countAsked('get'), 'what is known to be missing is not asked for again').toBe(1)
  })

  it('of a key still found by its look-up changes nothing yet', async () => {
    const broker = newBroker()
    const acme = await served(broker)
    const begunAt = Number((await keyRows('acme'))[0]?.begun_at)
    await emulator.settings({ getAfterDeleteLagMs: 30 * MINUTE_MS })
    await emulator.removeKey(acme.uid)
    await setBothClocks(begunAt + 11 * MINUTE_MS, begunAt)
    expect(found(await sweepNow(broker, 'acme'))).toEqual({})
    await setBothClocks(begunAt + 40 * MINUTE_MS, begunAt)
    expect(found(await sweepNow(broker, 'acme'))).toEqual({ missing: [acme.uid] })
  })

  it('is asked of upstream only when its answer is clear', async () => {
    const broker = newBroker()
    const acme = await served(broker)
    settle()
    await emulator.fault({ operation: 'list', fault: { kind: 'shape', shape: 'foreign-uid' } })
    for (const fault of [
      { kind: 'status', status: 500 },
      { kind: 'status', status: 404, body: 'html' },
    ] as const) {
      await emulator.fault({ operation: 'get', fault })
      await sweepNow(broker, 'acme')
      expect(await states('acme')).toEqual(['active'])
    }
    await generate(broker, acme)
  })
})

describe('G5: a deleted key that is still listed', () => {
  it('is left alone while the list may lag, and deleting it again later is no harm', async () => {
    const broker = newBroker()
    const acme = await newTenant(broker, 'acme')
    const uid = await newTurnKey(broker, acme)
    const begunAt = Number((await keyRows('acme'))[0]?.begun_at)
    await setBothClocks(begunAt + 30 * MINUTE_MS, begunAt)
    await emulator.settings({ listLagMs: 20 * MINUTE_MS, getAfterDeleteLagMs: HOUR_MS })
    expectStatus(await broker.call('DELETE', keysPath('acme', uid), acme.token), 200)
    await setBothClocks(begunAt + 39 * MINUTE_MS, begunAt)
    expect(found(await sweepNow(broker, 'acme'))).toEqual({})
    expect(await countAsked('delete')).toBe(1)
    await setBothClocks(begunAt + 41 * MINUTE_MS, begunAt)
    expect(found(await sweepNow(broker, 'acme'))).toEqual({ orphan: [uid] })
    expect(await states('acme')).toEqual(['deleted'])
    expect(await countAsked('delete')).toBe(2)
    expect(await countAsked('get')).toBe(0)
    await setBothClocks(begunAt + 51 * MINUTE_MS, begunAt)
    expect(found(await sweepNow(broker, 'acme'))).toEqual({})
    expect(await jobRows('acme')).toEqual([])
  })
})
