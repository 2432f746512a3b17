/** Retention is kept on time: for tenants that never mint, for objects that write nothing more, and for many subjects. */
import { describe, expect, it } from 'vitest'
import { expectStatus, newBroker, newTenant } from '../support/broker/broker.ts'
import { DAY_MS, HOUR_MS, MINUTE_MS, passTime } from '../support/broker/clock.ts'
import { runJobs, runJobsOf } from '../support/storage/storage.ts'
import { accountSql, accountStub, tenantSql } from '../support/storage/tenantRows.ts'
import { expectOutcome, newIssuer } from '../support/tenants/issuing.ts'

const count = async (id: string, of: string): Promise<number> =>
  Number((await tenantSql(id, `SELECT count(*) AS n FROM ${of}`))[0]?.n)

describe('a tenant that never mints', () => {
  it('A tenant that never minted keeps its audit trail no longer than its policy says', async () => {
    passTime(MINUTE_MS)
    const broker = newBroker()
    await newTenant(broker, 'acme', { policy: { auditRetentionDays: 1 } })
    expect(await count('acme', 'audit_events')).toBeGreaterThan(0)
    passTime(2 * DAY_MS)
    await runJobs('acme')
    const [pruned, ...more] = await tenantSql('acme', 'SELECT seq, action, actor FROM audit_events')
    expect(pruned).toMatchObject({ action: 'audit_trail.prune', actor: 'broker' })
    expect(more).toEqual([])
    // Its number goes on from what was deleted, and the event of the pruning is deleted in its time as well.
    passTime(2 * DAY_MS)
    await runJobs('acme')
    expect(await tenantSql('acme', 'SELECT seq FROM audit_events')).toEqual([{ seq: Number(pruned?.seq) + 1 }])
  })

  it('A record of an Idempotency-Key goes after a day at both objects, also when no other is written', async () => {
    passTime(MINUTE_MS)
    const broker = newBroker()
    const key = { 'idempotency-key': 'once-and-never-again' }
    const tenant = { id: 'acme', name: 'Acme', region: 'weur' }
    expectStatus(await broker.admin('POST', '/tenants', tenant, key), 201)
    const token = { name: 'n', scopes: [] as string[] }
    expectStatus(
      await broker.admin('POST', '/tenants/acme/api-tokens', { ...token, scopes: ['tenant:read'] }, key),
      201,
    )
    expect(await count('acme', 'idempotency')).toBe(1)
    passTime(DAY_MS + HOUR_MS)
    await runJobs('acme')
    await runJobsOf(accountStub())
    expect(await count('acme', 'idempotency')).toBe(0)
    expect(await accountSql('SELECT * FROM idempotency')).toEqual([])
  })
})

describe('subjects', () => {
  it('Subjects that nobody used are forgotten in bounded steps, those with a credential or a ban are kept', async () => {
    passTime(MINUTE_MS)
    const acme = await newIssuer({ auditRetentionDays: 1 })
    await tenantSql(
      'acme',
      `INSERT INTO subjects (id, subject, used_at)
       WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200) SELECT 'su_' || printf('%022d', i), 'old ' || i, 1 FROM n`,
    )
    expectStatus(
      await acme.post('/bans', { subject: 'old 700', until: new Date(Date.now() + DAY_MS).toISOString() }),
      201,
    )
    expectOutcome(await acme.generate({ customIdentifier: 'old 800', ttl: 7_200 }), '201')
    await tenantSql('acme', 'UPDATE subjects SET used_at = 1')
    passTime(HOUR_MS)
    const left: number[] = []
    for (let runs = 0; runs < 3; runs++) {
      await runJobs('acme')
      left.push(await count('acme', 'subjects'))
      passTime(MINUTE_MS)
    }
    expect(left).toEqual([700, 202, 2])
    expect(await tenantSql('acme', 'SELECT subject FROM subjects ORDER BY subject')).toEqual([
      { subject: 'old 700' },
      { subject: 'old 800' },
    ])
  })

  it('A walk over the subjects begins once a day at most', async () => {
    passTime(MINUTE_MS)
    await newIssuer({ auditRetentionDays: 1 })
    passTime(HOUR_MS)
    await runJobs('acme')
    await tenantSql('acme', "INSERT INTO subjects (id, subject, used_at) VALUES ('su_1', 'old', 1)")
    passTime(23 * HOUR_MS)
    await runJobs('acme')
    expect(await count('acme', 'subjects')).toBe(1)
    passTime(2 * HOUR_MS)
    await runJobs('acme')
    expect(await count('acme', 'subjects')).toBe(0)
  })
})

describe('TURN keys that ended', () => {
  it('The row of a key goes 30 days after its end, and the Account forgets whose it was', async () => {
    passTime(MINUTE_MS)
    const acme = await newIssuer()
    expectStatus(
      await acme.broker.call('DELETE', `/client/v4/accounts/acme/calls/turn_keys/${acme.uid}`, acme.token),
      200,
    )
    expect(await accountSql('SELECT uid FROM turn_key_owners')).toEqual([{ uid: acme.uid }])
    passTime(29 * DAY_MS)
    await runJobs('acme')
    expect(await count('acme', 'turn_keys')).toBe(1)
    passTime(2 * DAY_MS)
    await runJobs('acme')
    expect(await count('acme', 'turn_keys')).toBe(0)
    expect(await accountSql('SELECT uid FROM turn_key_owners')).toEqual([])
  })

  it('The row of a replaced key leads to its successor for 400 days, and goes with its successor otherwise', async () => {
    passTime(MINUTE_MS)
    await newIssuer()
    const [{ seq } = {}] = await tenantSql('acme', 'SELECT seq FROM turn_keys')
    const old = (intent: string, days: number, successor: unknown) =>
      tenantSql(
        'acme',
        `INSERT INTO turn_keys (intent, state, name, successor, begun_at, state_at)
         VALUES ('${intent}', 'deleted', 'n', ${successor}, 1, ${Date.now() - days * DAY_MS})`,
      )
    await old('leads', 390, seq)
    await old('led', 401, seq)
    await tenantSql(
      'acme',
      `INSERT INTO turn_keys (seq, intent, state, name, begun_at, state_at) VALUES (900, 'dead', 'deleted', 'n', 1, 1)`,
    )
    await old('led to the dead', 31, 900)
    passTime(HOUR_MS)
    await runJobs('acme')
    passTime(HOUR_MS)
    await runJobs('acme')
    const rows = await tenantSql('acme', "SELECT intent FROM turn_keys WHERE state = 'deleted'")
    expect(rows).toEqual([{ intent: 'leads' }])
  })
})
