/** G5: a list of Cloudflare's that lags is no evidence, and deletes nothing. */

import { afterEach, describe, expect, it, vi } from 'vitest'
import { Account } from '../../src/account/account.ts'
import { expectStatus, keysPath, newBroker, newTenant, newTurnKey } from '../support/broker/broker.ts'
import { HOUR_MS, MINUTE_MS, passTime } from '../support/broker/clock.ts'
import { auditOf, generate, served } from '../support/broker/doors.ts'
import { countAsked, emulator, liveKeys } from '../support/broker/upstream.ts'
import { tenantStub } from '../support/storage/storage.ts'
import { jobRows, keyRows } from '../support/storage/tenantRows.ts'
import { found, setBothClocks, sweepNow } from '../support/tenants/sweeps.ts'

afterEach(() => {
  vi.restoreAllMocks()
})

const uids = async () => (await liveKeys()).map(({ uid }) => uid).sort()
const states = async (tenant: string) => (await keyRows(tenant)).map(({ state }) => state)
const settle = () => passTime(11 * MINUTE_MS)

describe('G5: a key that is not listed', () => {
  it('G5: A list that lags is no evidence: no key counts as missing, and none is deleted', async () => {
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

  it('G5: A check that the budget refuses is not counted, and the key is checked by a later sweep', async () => {
    const broker = newBroker()
    const acme = await served(broker)
    await emulator.removeKey(acme.uid)
    settle()
    const order = { keys: [], listedAt: Date.now(), checks: 5 }
    const examine = async () => {
      const result = await tenantStub('acme').examineKeys(order)
      return result.ok ? result.value : result.failure
    }
    const refused = { ok: false, failure: { code: 'rate_limited', retryAfterSeconds: 60 } } as const
    const spend = vi.spyOn(Account.prototype, 'spend').mockResolvedValue(refused)
    expect(await examine()).toEqual({ findings: [], checked: 0 })
    spend.mockRestore()
    expect(await examine()).toEqual({ findings: [{ uid: acme.uid, class: 'missing' }], checked: 1 })
    expect(await countAsked('get')).toBe(1)
  })

  it('G5: A key neither listed nor found by one look-up is missing in the list, the trail and the account', async () => {
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
    expect(await countAsked('get'), 'a missing key is not looked up again').toBe(1)
  })

  it('G5: A key that is not listed but still found by its look-up does not count as missing yet', async () => {
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

  it('G5: A key that is not listed stays active while the answer to its look-up is unclear', async () => {
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
  it('G5: A deleted key that is still listed is left alone while the list may lag, then deleted again', async () => {
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
