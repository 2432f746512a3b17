/** The account at the admin door: its state, its own audit trail; and a tenant's object that was set back in time. */

import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { expectStatus, keysPath, newBroker, newTenant, newTurnKey } from '../support/broker/broker.ts'
import { HOUR_MS, MINUTE_MS, passTime } from '../support/broker/clock.ts'
import { expectProblem } from '../support/broker/doors.ts'
import { emulator, liveKeys } from '../support/broker/upstream.ts'
import { leaks } from '../support/secrets/secrets.ts'
import { STANDING } from '../support/secrets/secretWatch.ts'
import { runJobs } from '../support/storage/storage.ts'
import { accountSql, tenantSql } from '../support/storage/tenantRows.ts'
import { killObjects } from '../support/tenants/issuing.ts'
import { accountView, sweepNow } from '../support/tenants/sweeps.ts'

describe('GET /v1/admin/account', () => {
  it('GET /v1/admin/account shows the budget, the number of TURN keys and the sweep, or that none ran', async () => {
    const broker = newBroker()
    expect(await accountView(broker)).toEqual({
      budget: {
        tenants: { limit: 600, spent: 0 },
        recovery: { limit: 120, spent: 0 },
        operators: { limit: 120, spent: 0 },
        upstreamRemaining: null,
        blockedUntil: null,
      },
      turnKeys: { count: null, limit: 1_000, listedAt: null },
      sweep: {
        state: 'never',
        begunAt: null,
        endedAt: null,
        nextAt: null,
        tenants: { asked: 0, failed: 0 },
        counts: { foreign: 0, 'other-deployment': 0, unclaimed: 0, lost: 0, orphan: 0, missing: 0 },
        findings: [],
      },
      rootKeys: [expect.objectContaining({ id: 'k1', current: true, configured: true })],
    })
    const acme = await newTenant(broker, 'acme')
    await newTurnKey(broker, acme)
    await emulator.plantKey({ account: env.CLOUDFLARE_ACCOUNT_ID, name: 'by hand' })
    passTime(2 * MINUTE_MS)
    const view = await sweepNow(broker)
    expect(view.budget).toMatchObject({ tenants: { spent: 1 }, recovery: { spent: 1 }, operators: { spent: 0 } })
    const now = new Date().toISOString()
    expect(view.turnKeys).toEqual({ count: 2, limit: 1_000, listedAt: now })
    expect(view.sweep).toMatchObject({ state: 'done', begunAt: now, endedAt: now, counts: { foreign: 1 } })
    expect(view.sweep.findings).toEqual([
      { uid: expect.stringMatching(/^[0-9a-f]{32}$/), class: 'foreign', tenant: null, since: now },
    ])
    passTime(HOUR_MS)
    expect((await sweepNow(broker)).sweep.findings).toMatchObject([{ class: 'foreign', since: now }])
    passTime(6 * MINUTE_MS)
    expect((await accountView(broker)).budget).toMatchObject({ tenants: { spent: 0 }, recovery: { spent: 0 } })
  })

  it('GET /v1/admin/account shows a hundred findings and counts all of them', async () => {
    const broker = newBroker()
    for (let n = 0; n < 120; n++) await emulator.plantKey({ account: env.CLOUDFLARE_ACCOUNT_ID, name: `foreign ${n}` })
    passTime(MINUTE_MS)
    const { sweep, turnKeys } = await sweepNow(broker)
    expect(sweep.findings).toHaveLength(100)
    expect(sweep.counts.foreign).toBe(120)
    expect(turnKeys.count).toBe(120)
  })

  it('GET /v1/admin/account and the rows behind it hold no secret, no name of a TURN key and no account id', async () => {
    const broker = newBroker()
    const acme = await newTenant(broker, 'acme', { scopes: ['turn_keys:write', 'turn_keys:reveal'] })
    const answer = await broker.call('POST', keysPath('acme'), acme.token, { name: 'PAYROLL' })
    expectStatus(answer, 201)
    const planted = await emulator.plantKey({ account: env.CLOUDFLARE_ACCOUNT_ID, name: env.CALLS_API_TOKEN })
    await emulator.fault({ operation: 'get', fault: { kind: 'echo', status: 401 } })
    passTime(11 * MINUTE_MS)
    const view = JSON.stringify(await sweepNow(broker, 'acme'))
    const rows = await accountSql('SELECT * FROM findings')
    const secrets = [
      ...STANDING,
      { name: 'the API token', value: acme.token },
      { name: 'the secret of a key', value: String(answer.json.result.key) },
      { name: 'the secret of a foreign key', value: planted.key },
      { name: 'a name', value: 'PAYROLL' },
      { name: 'the account', value: env.CLOUDFLARE_ACCOUNT_ID },
    ]
    expect(leaks(view + JSON.stringify(rows), secrets)).toEqual([])
    expect(rows).toHaveLength(1)
  })
})

describe('GET /v1/admin/audit-events', () => {
  it('GET /v1/admin/audit-events is the audit trail of the Account, filtered and paged, newest first', async () => {
    const broker = newBroker()
    for (const id of ['one', 'two', 'three']) await newTenant(broker, id)
    passTime(MINUTE_MS)
    await sweepNow(broker)
    const list = async (query: string) => {
      const answer = await broker.admin('GET', `/audit-events${query}`)
      expectStatus(answer, 200)
      return answer.json
    }
    const { items, nextCursor } = await list('')
    expect(items).toMatchObject([
      { seq: 4, action: 'account.sweep', actor: 'admin:token', outcome: 'done', requestId: expect.any(String) },
      { seq: 3, action: 'tenant.create', target: 'three' },
      { seq: 2, action: 'tenant.create', target: 'two' },
      { seq: 1, action: 'tenant.create', target: 'one' },
    ])
    expect(nextCursor).toBeNull()
    const seen: number[] = []
    for (let cursor: string | null = ''; cursor !== null; ) {
      const after: string = cursor === '' ? '' : `&cursor=${cursor}`
      const page = await list(`?limit=2&action=tenant.create${after}`)
      seen.push(...page.items.map(({ seq }: { seq: number }) => seq))
      cursor = page.nextCursor
    }
    expect(seen).toEqual([3, 2, 1])
  })

  it('GET /v1/admin/audit-events refuses a cursor of another list or filter, and a limit out of bounds', async () => {
    const broker = newBroker()
    for (const id of ['one', 'two']) await newTenant(broker, id)
    const { nextCursor } = (await broker.admin('GET', '/tenants?limit=1')).json
    const auditCursor = (await broker.admin('GET', '/audit-events?limit=1')).json.nextCursor
    for (const query of [
      `cursor=${nextCursor}`,
      `cursor=${auditCursor}&action=tenant.create`,
      'cursor=x',
      'limit=0',
      'limit=101',
    ]) {
      expectProblem(await broker.admin('GET', `/audit-events?${query}`), 'invalid_request')
    }
    expectStatus(await broker.admin('GET', `/audit-events?cursor=${auditCursor}`), 200)
  })
})

describe('a tenant’s object that was set back in time', () => {
  it('A tenant that was set back in time reports to the Account with a version past the one that was known', async () => {
    const broker = newBroker()
    await newTenant(broker, 'acme')
    for (const name of ['second', 'third', 'fourth']) {
      expectStatus(await broker.admin('PATCH', '/tenants/acme', { name }), 200)
    }
    passTime(MINUTE_MS)
    await runJobs('acme')
    const known = Number((await accountSql("SELECT version FROM tenants WHERE id = 'acme'"))[0]?.version)
    await tenantSql('acme', "UPDATE tenant SET version = 1, name = 'Tenant acme'")
    await killObjects()
    expectStatus(await broker.admin('PATCH', '/tenants/acme', { status: 'suspended' }), 200)
    for (let round = 0; round < 2; round++) {
      passTime(MINUTE_MS)
      await runJobs('acme')
    }
    expect(await accountSql("SELECT name, state, version FROM tenants WHERE id = 'acme'")).toEqual([
      { name: 'Tenant acme', state: 'suspended', version: known + 1 },
    ])
    expect((await broker.admin('GET', '/tenants/acme')).json.version).toBe(known + 1)
    expect(await liveKeys()).toEqual([])
  })
})
