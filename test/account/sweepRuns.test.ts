/** How a sweep runs: when, with how many calls upstream, across crashes, silent tenants and lists that fail. */
import { abortAllDurableObjects } from 'cloudflare:test'
import { describe, expect, it } from 'vitest'
import type { AccountView } from '../../src/contract/resources/account.ts'
import { type Broker, expectStatus, keysPath, newBroker, newTenant, newTurnKey } from '../support/broker/broker.ts'
import { DAY_MS, HOUR_MS, MINUTE_MS, passTime, SECOND_MS } from '../support/broker/clock.ts'
import { expectFailure } from '../support/broker/errors.ts'
import { countAsked, emulator, liveKeys } from '../support/broker/upstream.ts'
import { runJobs } from '../support/storage/storage.ts'
import { accountSql, jobRows, tenantSql } from '../support/storage/tenantRows.ts'
import { accountView, found, runAccountJobs, sweepNow } from '../support/tenants/sweeps.ts'

const dueSweeps = () => accountSql("SELECT due FROM jobs WHERE kind = 'sweep'")
const nextAfterMs = ({ sweep }: AccountView) => Date.parse(sweep.nextAt ?? '') - Date.now()

/** Tenants of the directory with a key that only the Account has heard of. */
async function crowd(broker: Broker, size: number): Promise<string[]> {
  const ids = Array.from({ length: size }, (_, n) => `t${String(n).padStart(3, '0')}`)
  for (const id of ids) {
    expectStatus(await broker.admin('POST', '/tenants', { id, name: id, region: 'weur' }), 201)
    await accountSql(`INSERT INTO turn_key_owners VALUES ('${id.padEnd(32, '-')}', '${id}', 0)`)
  }
  return ids
}

describe('a sweep', () => {
  it('A sweep runs every hour as soon as there may be a key, and not before', async () => {
    const broker = newBroker()
    const acme = await newTenant(broker, 'acme')
    expect(await dueSweeps()).toEqual([])
    expect((await accountView(broker)).sweep).toMatchObject({ state: 'never', nextAt: null })
    const begunAt = Date.now()
    await newTurnKey(broker, acme)
    const [{ due } = { due: 0 }] = await dueSweeps()
    expect(Number(due) - begunAt).toBeGreaterThanOrEqual(HOUR_MS)
    expect(Number(due) - begunAt).toBeLessThan(HOUR_MS + MINUTE_MS)
    for (let sweeps = 1; sweeps <= 2; sweeps++) {
      passTime(HOUR_MS - MINUTE_MS)
      await runAccountJobs()
      expect(await countAsked('list')).toBe(sweeps - 1)
      passTime(2 * MINUTE_MS)
      await runAccountJobs()
      expect(await countAsked('list')).toBe(sweeps)
      const view = await accountView(broker)
      expect(view.sweep).toMatchObject({ state: 'done', tenants: { asked: 1, failed: 0 } })
      expect(nextAfterMs(view)).toBe(HOUR_MS)
    }
  })

  it('A sweep shares its list with every other caller that wants one within 30 s', async () => {
    const broker = newBroker()
    const acme = await newTenant(broker, 'acme')
    await emulator.fault({ operation: 'create', fault: { kind: 'status', status: 502, when: 'after' } })
    expectFailure(await broker.call('POST', keysPath('acme'), acme.token, {}), 'outcome_unknown')
    passTime(1.1 * MINUTE_MS)
    await sweepNow(broker, 'acme')
    passTime(29 * SECOND_MS)
    await sweepNow(broker)
    expect(await liveKeys()).toEqual([])
    expect(await countAsked('list')).toBe(1)
    passTime(2 * SECOND_MS)
    await sweepNow(broker)
    expect(await countAsked('list')).toBe(2)
  })

  it('A sweep that gets no list changes no findings, reports that it failed, and is repeated', async () => {
    const broker = newBroker()
    const acme = await newTenant(broker, 'acme')
    const uid = await newTurnKey(broker, acme)
    await emulator.plantKey({ account: (await liveKeys())[0]?.account ?? '', name: 'foreign' })
    await emulator.removeKey(uid)
    passTime(11 * MINUTE_MS)
    const before = found(await sweepNow(broker))
    expect(Object.keys(before)).toEqual(['foreign', 'missing'])
    for (const fault of [
      { kind: 'status', status: 500 },
      { kind: 'shape', shape: 'html' },
    ] as const) {
      passTime(HOUR_MS)
      await emulator.fault({ operation: 'list', fault })
      const view = await sweepNow(broker)
      expect(view.sweep.state).toBe('failed')
      expect(found(view)).toEqual(before)
      expect(nextAfterMs(view)).toBeLessThanOrEqual(10 * SECOND_MS)
    }
    passTime(MINUTE_MS)
    await runAccountJobs()
    expect((await accountView(broker)).sweep.state).toBe('done')
  })

  it('A sweep passes over a tenant that does not answer, and the findings about its keys stand', async () => {
    const broker = newBroker()
    const acme = await newTenant(broker, 'acme')
    const other = await newTenant(broker, 'other')
    const uids = [await newTurnKey(broker, acme), await newTurnKey(broker, other)]
    for (const uid of uids) await emulator.removeKey(uid)
    passTime(11 * MINUTE_MS)
    expect(found(await sweepNow(broker)).missing).toEqual([...uids].sort())
    await tenantSql('acme', 'ALTER TABLE turn_keys RENAME TO broken')
    await tenantSql('other', 'DELETE FROM turn_keys')
    passTime(HOUR_MS)
    const view = await sweepNow(broker)
    expect(view.sweep).toMatchObject({ state: 'done', tenants: { asked: 2, failed: 1 } })
    expect(found(view)).toEqual({ missing: [uids[0]] })
  })

  it('A sweep is done in shares, and goes on where it was after a crash', async () => {
    const broker = newBroker()
    await crowd(broker, 30)
    passTime(MINUTE_MS)
    expectStatus(await broker.admin('POST', '/account/sweep'), 202)
    await runAccountJobs()
    expect((await accountView(broker)).sweep).toMatchObject({ state: 'running', tenants: { asked: 25, failed: 0 } })
    await abortAllDurableObjects()
    passTime(SECOND_MS)
    await runAccountJobs()
    expect((await accountView(broker)).sweep).toMatchObject({ state: 'done', tenants: { asked: 30, failed: 0 } })
  })

  it('A sweep whose list lacks many keys looks up 60 of them one by one, and the rest later', async () => {
    const broker = newBroker()
    const ids = await crowd(broker, 13)
    for (const id of ids) {
      await tenantSql(
        id,
        `WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 5)
         INSERT INTO turn_keys (intent, uid, state, name, begun_at, state_at)
         SELECT '${id}-' || i, substr('${id}-' || i || '${'-'.repeat(32)}', 1, 32), 'active', '', 0, 0 FROM n`,
      )
    }
    passTime(MINUTE_MS)
    const view = await sweepNow(broker)
    expect(await countAsked('get')).toBe(60)
    expect(nextAfterMs(view)).toBe(5 * MINUTE_MS)
    expect(view.sweep.counts.missing).toBe(60)
    passTime(5 * MINUTE_MS)
    await runAccountJobs()
    expect((await accountView(broker)).sweep.counts.missing).toBe(65)
    expect(await countAsked('get')).toBe(65)
  })

  it('A sweep forgets the creations that no Tenant remembers, and is the last when nothing is left to sweep', async () => {
    const broker = newBroker()
    const acme = await newTenant(broker, 'acme')
    await emulator.fault({ operation: 'create', fault: { kind: 'status', status: 403 } })
    expectFailure(await broker.call('POST', keysPath('acme'), acme.token, {}), 'upstream_failed')
    expect(await accountSql('SELECT tenant FROM creations')).toEqual([{ tenant: 'acme' }])
    passTime(30 * DAY_MS)
    await sweepNow(broker)
    expect(await accountSql('SELECT count(*) AS n FROM creations')).toEqual([{ n: 1 }])
    passTime(2 * DAY_MS)
    expect((await sweepNow(broker)).sweep.nextAt).toBeNull()
    expect(await accountSql('SELECT count(*) AS n FROM creations')).toEqual([{ n: 0 }])
    expect(await dueSweeps()).toEqual([])
  })

  it('A sweep deletes through a job of the tenant, so that a crash in between loses nothing', async () => {
    const broker = newBroker()
    const acme = await newTenant(broker, 'acme')
    const uid = await newTurnKey(broker, acme)
    await emulator.fault({ operation: 'delete', fault: { kind: 'status', status: 404 } })
    expectStatus(await broker.call('DELETE', keysPath('acme', uid), acme.token), 200)
    passTime(11 * MINUTE_MS)
    await sweepNow(broker)
    expect(await jobRows('acme')).toMatchObject([{ kind: 'undo-upstream-key' }])
    await abortAllDurableObjects()
    await runJobs('acme')
    expect(await liveKeys()).toEqual([])
  })
})
