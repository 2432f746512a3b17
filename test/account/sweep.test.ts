/** G5: after the sweep, upstream and the broker agree: no orphan is left, and every other key is kept. */
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { type Broker, expectStatus, keysPath, newBroker, newTenant, newTurnKey } from '../support/broker/broker.ts'
import { HOUR_MS, MINUTE_MS, passTime } from '../support/broker/clock.ts'
import { auditOf } from '../support/broker/doors.ts'
import { expectFailure } from '../support/broker/errors.ts'
import { countAsked, emulator, liveKeys } from '../support/broker/upstream.ts'
import { runJobs } from '../support/storage/storage.ts'
import { accountSql, jobRows, keyRows, tenantSql } from '../support/storage/tenantRows.ts'
import { found, setBothClocks, sweepNow } from '../support/tenants/sweeps.ts'

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

describe('G5: orphans that the sweep deletes', () => {
  it('G5: The sweep deletes a key that upstream kept although it said that there was none', async () => {
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

  it('G5: The sweep deletes the key of a creation that was given up after a day because the list lagged for two', async () => {
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

  it('G5: The sweep deletes a second key under the marker of one that is in use', async () => {
    const broker = newBroker()
    const acme = await newTenant(broker, 'acme')
    const uid = await newTurnKey(broker, acme)
    const [key] = await liveKeys()
    const twin = await emulator.plantKey({ account: key?.account ?? '', name: key?.name ?? '' })
    settle()
    expect(found(await sweepNow(broker, 'acme'))).toEqual({ orphan: [twin.uid] })
    expect(await uids()).toEqual([uid])
  })

  it('G5: The sweep repeats a deletion until upstream has done it, and not when the row has changed meanwhile', async () => {
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

  it('G5: The sweep settles a doubtful creation at once, instead of at its next look', async () => {
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

describe('G5: keys that the sweep leaves alone', () => {
  it('G5: The sweep leaves alone foreign keys, other deployments and unknown markers, and reports no name', async () => {
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

  it('G5: The sweep leaves alone the keys of a tenant that was deleted', async () => {
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

  it('G5: The sweep leaves alone a creation under way, however long it takes', async () => {
    const broker = newBroker()
    const acme = await newTenant(broker, 'acme')
    // The tenant reports now: otherwise its alarm would fire by itself after the clock was moved.
    passTime(MINUTE_MS)
    await runJobs('acme')
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

  it('G5: The sweep leaves alone a key that could not be imported, because it belongs to others', async () => {
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
