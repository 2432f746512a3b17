/** Pruning the ledger and the audit trail: which rows, when, and how many in one run; and that the counters add up. */
import { runInDurableObject } from 'cloudflare:test'
import { describe, expect, it } from 'vitest'
import { expectStatus } from '../support/broker/broker.ts'
import { HOUR_MS, MINUTE_MS, passTime, SECOND_MS } from '../support/broker/clock.ts'
import { emulator } from '../support/broker/upstream.ts'
import { runJobs, tenantStub } from '../support/storage/storage.ts'
import { breakAudit, repairAudit, tenantSql } from '../support/storage/tenantRows.ts'
import { credentialRows, expectOutcome, type Issuer, newIssuer } from '../support/tenants/issuing.ts'

const DAY_MS = 24 * HOUR_MS

const mint = async ({ generate }: Issuer, ttl: number, subject = 'ann') =>
  expectOutcome(await generate({ ttl, customIdentifier: subject }), '201')

const count = async (table: string): Promise<number> =>
  Number((await tenantSql('acme', `SELECT count(*) AS n FROM ${table}`))[0]?.n)

const pruneDue = async () => (await tenantSql('acme', "SELECT due FROM jobs WHERE kind = 'prune'"))[0]?.due

/** Inserts credentials that expire at `at`, and audit events of that time. */
const plant = (credentials: number, events: number, at: number) =>
  runInDurableObject(tenantStub('acme'), (_, { storage }) =>
    storage.transactionSync(() => {
      storage.sql.exec(
        `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
         INSERT INTO credentials (id, username, state, key_uid, url_list, issued_at, expires_at)
         SELECT 'old-' || i, 'old-' || i, 'live', 'key', 1, ?, ? FROM n WHERE i <= ?`,
        Math.max(1, credentials),
        at - MINUTE_MS,
        at,
        credentials,
      )
      storage.sql.exec(
        `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
         INSERT INTO audit_events (seq, at, actor, action, outcome) SELECT i - ?, ?, 'old', 'old', 'done' FROM n WHERE i <= ?`,
        Math.max(1, events),
        events,
        at,
        events,
      )
    }),
  )

async function usage({ broker, token }: Issuer) {
  const self = await broker.call('GET', '/v1/tenants/acme', token)
  expectStatus(self, 200)
  const sums = { issued: 0, reused: 0, revoked: 0, expired: 0 }
  for (const day of self.json.usage)
    for (const name of Object.keys(sums) as (keyof typeof sums)[]) sums[name] += day[name]
  return { ...sums, live: self.json.counts.liveCredentials }
}

describe('a ledger row', () => {
  it('A ledger row is pruned soon after its expiry, also when another lives for days', async () => {
    const acme = await newIssuer({ maxServerTtl: 172_800 })
    passTime(2 * MINUTE_MS)
    await mint(acme, 172_800)
    await mint(acme, 60)
    await mint(acme, 7_200)
    passTime(HOUR_MS)
    await runJobs('acme')
    expect(await credentialRows()).toHaveLength(2)
    expect(await pruneDue()).toBe(Date.now() + HOUR_MS)
    passTime(HOUR_MS)
    await runJobs('acme')
    expect(await pruneDue()).toBe(Date.now() + MINUTE_MS)
    passTime(MINUTE_MS)
    await runJobs('acme')
    expect(await credentialRows()).toHaveLength(1)
    passTime(48 * HOUR_MS)
    await runJobs('acme')
    expect(await credentialRows()).toEqual([])
  })

  it('A ledger row is counted once: each issued credential is live, revoked or expired', async () => {
    const acme = await newIssuer()
    passTime(2 * MINUTE_MS)
    for (const ttl of [60, 60, 600, 600, 7_200, 7_200, 7_200]) await mint(acme, ttl, `subject-${ttl}`)
    await acme.revocation({ subject: 'subject-600' })
    await runJobs('acme')
    await emulator.fault({ operation: 'revoke', fault: { kind: 'status', status: 500 }, times: 'always' })
    const [, , , , , , last] = await credentialRows()
    await acme.revocation({ credentialId: last?.id })
    expect(await usage(acme)).toEqual({ issued: 7, reused: 0, revoked: 2, expired: 0, live: 4 })
    passTime(HOUR_MS)
    await runJobs('acme')
    expect(await usage(acme)).toEqual({ issued: 7, reused: 0, revoked: 2, expired: 2, live: 2 })
    passTime(3 * HOUR_MS)
    await runJobs('acme')
    expect(await usage(acme)).toEqual({ issued: 7, reused: 0, revoked: 2, expired: 5, live: 0 })
    expect(await credentialRows()).toEqual([])
  })

  it('A ledger row is pruned also at a tenant whose first mint could not be stored', async () => {
    const acme = await newIssuer()
    passTime(2 * MINUTE_MS)
    await breakAudit('acme')
    expectOutcome(await acme.generate(), '503 31025')
    await repairAudit('acme')
    await mint(acme, 60)
    passTime(HOUR_MS)
    await runJobs('acme')
    expect(await credentialRows()).toEqual([])
  })

  it('A ledger row holds the password while it can be handed out again, and no longer', async () => {
    const acme = await newIssuer()
    passTime(2 * MINUTE_MS)
    await mint(acme, 600, 'ann')
    await mint(acme, 600, 'bob')
    const sealed = async () => (await credentialRows()).map((row) => row.sealed)
    expect(await sealed()).toEqual([expect.any(String), expect.any(String)])
    await acme.revocation({ subject: 'ann' })
    expect(await sealed()).toEqual([null, expect.any(String)])
    expectStatus(await acme.broker.admin('PATCH', '/tenants/acme', { policy: { reuse: false } }), 200)
    await mint(acme, 600, 'cleo')
    expect(await sealed()).toEqual([null, expect.any(String), null])
  })

  it('A ledger row without a subject holds no password, because the credential is never handed out again', async () => {
    const acme = await newIssuer()
    expectStatus(await acme.generate({ ttl: 600 }), 201)
    expect((await credentialRows()).map(({ subject_id, sealed }) => [subject_id, sealed])).toEqual([[null, null]])
  })
})

describe('one run of the pruning job', () => {
  it('One pruning run takes 500 credentials, and the next follows in a second while there are more', async () => {
    const acme = await newIssuer()
    passTime(2 * MINUTE_MS)
    await mint(acme, 14_400)
    await plant(1_200, 0, Date.now())
    passTime(HOUR_MS + MINUTE_MS)
    const left: number[] = []
    for (let run = 0; run < 3; run++) {
      await runJobs('acme')
      left.push(await count('credentials'))
      if (run < 2) expect(await pruneDue()).toBe(Date.now() + SECOND_MS)
      passTime(SECOND_MS)
    }
    expect(left).toEqual([701, 201, 1])
    expect(await usage(acme)).toMatchObject({ expired: 1_200, live: 1 })
  })

  it('One pruning run takes 500 audit events that are older than the policy keeps them', async () => {
    const acme = await newIssuer({ auditRetentionDays: 2 })
    passTime(2 * MINUTE_MS)
    await mint(acme, 60)
    const young = await count('audit_events')
    await plant(0, 700, Date.now())
    passTime(2 * DAY_MS)
    await runJobs('acme')
    expect(await count('audit_events')).toBe(young + 700)
    passTime(HOUR_MS)
    await runJobs('acme')
    expect(await count('audit_events')).toBe(young + 200)
    passTime(SECOND_MS)
    await runJobs('acme')
    expect(await tenantSql('acme', "SELECT 1 FROM audit_events WHERE actor = 'old'")).toEqual([])
  })

  it('Pruning leaves the newest audit events, as many as the policy keeps', async () => {
    const acme = await newIssuer({ auditRetentionRows: 1_000 })
    passTime(2 * MINUTE_MS)
    await mint(acme, 60)
    await plant(0, 1_700, Date.now())
    for (let run = 0; run < 4; run++) {
      passTime(HOUR_MS)
      await runJobs('acme')
    }
    const [{ oldest, newest } = {}] = await tenantSql(
      'acme',
      'SELECT min(seq) AS oldest, max(seq) AS newest FROM audit_events',
    )
    expect(Number(newest) - Number(oldest)).toBe(999)
    expect(Number(newest)).toBeGreaterThan(0)
  })
})

it('Finished revocations, ended bans and old counters are pruned after their time, and not before', async () => {
  const acme = await newIssuer()
  passTime(2 * MINUTE_MS)
  await mint(acme, 60)
  const { id } = await acme.revocation({ all: true })
  await runJobs('acme')
  const ban = { subject: 'ann', until: new Date(Date.now() + HOUR_MS).toISOString() }
  expectStatus(await acme.post('/bans', ban), 201)
  passTime(29 * DAY_MS)
  await runJobs('acme')
  expect(await acme.progress(id)).toMatchObject({ state: 'done' })
  expect(await count('bans')).toBe(1)
  passTime(2 * DAY_MS)
  await runJobs('acme')
  expectOutcome(await acme.broker.call('GET', `/v1/tenants/acme/revocations/${id}`, acme.token), '404 not_found')
  expect(await count('bans')).toBe(0)
  expect(await count('usage_days')).toBe(1)
  passTime(61 * DAY_MS)
  await runJobs('acme')
  expect(await count('usage_days')).toBe(0)
})
