/** G15: what each kind of job reads and writes on objects with 10^4 rows in every table that grows. */
import { expect, it, onTestFinished } from 'vitest'
import { MINUTE_MS, passTime } from '../support/broker/clock.ts'
import { type CostRow, offencesOf, watchCalls } from '../support/growth/costs.ts'
import { fillAccount, fillTenant } from '../support/growth/fill.ts'
import { runningOn } from '../support/growth/jobs.ts'
import { accountSql, accountStub, tenantSql, tenantStub } from '../support/storage/tenantRows.ts'
import { expectOutcome, newIssuer } from '../support/tenants/issuing.ts'

const kindsOf = (table: readonly CostRow[]): string[] => [...new Set(table.map(({ of }) => of))].sort()

/** How many rows are left whose time was set to the beginning of time. */
async function oldRows(id: string): Promise<Record<string, unknown>> {
  const counts = Object.entries({
    credentials: 'expires_at',
    audit_events: 'at',
    revocations: 'created_at',
    subjects: 'used_at',
    bans: 'ended_at',
    idempotency: 'created_at',
    url_lists: 'used_at',
    turn_keys: 'state_at',
  }).map(async ([table, column]) => {
    const [{ n } = {}] = await tenantSql(id, `SELECT count(*) AS n FROM ${table} WHERE ${column} = 1`)
    return [table, n] as const
  })
  return Object.fromEntries(await Promise.all(counts))
}

const ORDERED = { caller: { kind: 'operator', name: 'token', role: 'owner' }, requestId: 'r' } as const

/** One step of the walk over the subjects, once a day. */
const STEP = 500
/** Rows of the ledger that one run of a bulk revocation marks. */
const MARKED_A_RUN = 500

it('G15: No job of the Tenant reads or writes more rows than follow from what it changes', async () => {
  passTime(MINUTE_MS)
  const { kinds, ran, stop } = watchCalls()
  onTestFinished(stop)
  const acme = await newIssuer({ maxLiveCredentials: 1_000_000, auditRetentionDays: 30 })
  await fillTenant('acme', acme.uid)
  expectOutcome(await acme.generate(), '201')
  const key = (uid: string, state: string, more = 'NULL') =>
    tenantSql(
      'acme',
      `INSERT INTO turn_keys (intent, uid, state, name, pending_name, begun_at, state_at)
       VALUES ('in-${uid}', '${uid}', '${state}', 'n', ${more}, ${Date.now()}, ${Date.now()})`,
    )
  const uidOf = (letter: string) => letter.repeat(32)

  const table = runningOn(
    () => tenantStub('acme'),
    [
      { of: 'prune', case: 'with a step over the subjects, nothing to delete', looks: 2 * STEP },
      {
        of: 'prune',
        case: 'between two walks, nothing to delete',
        given: async () => {
          await tenantSql('acme', 'DELETE FROM walks')
          passTime(2 * MINUTE_MS)
        },
      },
      {
        of: 'prune',
        case: '500 credentials and 500 events',
        rows: 1_000,
        given: async () => {
          passTime(MINUTE_MS)
          await tenantSql('acme', 'UPDATE credentials SET expires_at = 1 WHERE seq <= 500')
          await tenantSql('acme', 'UPDATE audit_events SET at = 1 WHERE seq <= 500')
        },
        after: async () =>
          expect(await oldRows('acme')).toMatchObject({ credentials: 0, audit_events: 0, revocations: 0, subjects: 0 }),
      },
      {
        of: 'prune',
        case: '100 revocations, 100 bans, 100 records, 100 lists of URLs, 20 keys',
        rows: 420,
        given: async () => {
          passTime(MINUTE_MS)
          await tenantSql('acme', 'UPDATE revocations SET created_at = 1 WHERE seq <= 100')
          await tenantSql('acme', 'UPDATE bans SET ended_at = 1 WHERE seq % 2 = 0 AND seq <= 200')
          await tenantSql('acme', "UPDATE idempotency SET created_at = 1 WHERE key LIKE 'key-__'")
          await tenantSql('acme', "UPDATE turn_keys SET state_at = 1 WHERE intent LIKE 'i1__'")
          await tenantSql(
            'acme',
            `INSERT INTO url_lists (id, urls, used_at) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)
           SELECT -i, 'list ' || i, 1 FROM n`,
          )
        },
        after: async () =>
          expect(await oldRows('acme')).toMatchObject({
            revocations: 0,
            bans: 0,
            idempotency: 0,
            url_lists: 0,
            turn_keys: 80,
          }),
      },
      { of: 'mirror', rows: 5 },
      {
        of: 'report-erasures',
        rows: 4,
        given: () => tenantSql('acme', "INSERT INTO unreported_erasures (subject_id, at) VALUES ('su_1', 1)"),
      },
      { of: 'prove-turn-key', key: uidOf('9'), given: () => key(uidOf('9'), 'creating'), rows: 8 },
      { of: 'cache', key: 'tenant:acme', rows: 3 },
      { of: 'count-refusals' },
      { of: 'set-back' },
      { of: 'settle-creation', key: `in-${uidOf('a')}`, given: () => key(uidOf('a'), 'creating'), rows: 8 },
      {
        of: 'remove-turn-key',
        key: uidOf('b'),
        given: () => key(uidOf('b'), 'deleting'),
      },
      { of: 'rename-turn-key', key: uidOf('c'), given: () => key(uidOf('c'), 'active', "'new'"), rows: 8 },
      { of: 'rotate-turn-key', key: uidOf('d'), given: () => key(uidOf('d'), 'creating'), rows: 8 },
      {
        of: 'retire-turn-key',
        key: uidOf('e'),
        given: () => key(uidOf('e'), 'retiring'),
      },
      { of: 'import-turn-key', key: uidOf('f'), rows: 3 },
      { of: 'undo-upstream-key', key: `${uidOf('0')}.`, rows: 3 },
      {
        of: 'revoke-credentials',
        given: () => tenantSql('acme', "UPDATE credentials SET state = 'revoking' WHERE seq = 5000"),
      },
      {
        of: 'mark-revoking',
        rows: MARKED_A_RUN,
        given: () => tenantStub('acme').createRevocation({ ...ORDERED, input: { all: true }, idempotency: undefined }),
      },
      { of: 'delete-tenant', rows: 8 },
    ],
  )
  expect(await offencesOf(table)).toEqual([])
  expect(kindsOf(table)).toEqual([...kinds.Tenant].sort())
  expect(kindsOf(table).filter((kind) => !ran.has(kind))).toEqual([])
}, 120_000)

it('G15: No job of the Account reads or writes more rows than follow from what it changes', async () => {
  passTime(MINUTE_MS)
  const { kinds, ran, stop } = watchCalls()
  onTestFinished(stop)
  await newIssuer()
  await fillAccount()
  const table = runningOn(accountStub, [
    {
      of: 'tenant-creation',
      key: 'globex',
      rows: 5,
      given: () =>
        accountSql(
          "INSERT INTO tenants (id, name, region, state, created_at) VALUES ('globex', 'g', 'weur', 'creating', 1)",
        ),
    },
    { of: 'restore-tenant', key: 'acme', rows: 10 },
    {
      of: 'forget-erasures',
      rows: 500,
      given: () =>
        accountSql(
          `INSERT INTO erasures (tenant, subject_id, at) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 600)
           SELECT 'acme', 'su_' || i, 1 FROM n`,
        ),
    },
    { of: 'sweep', rows: 30 },
    {
      of: 'reseal',
      case: 'the next hundred tenants',
      rows: 20,
      given: () => accountStub().orderReseal({ ...ORDERED, to: 'k1' }),
    },
    { of: 'reseal', case: 'a tenant', key: 'acme', rows: 200 },
    { of: 'check-keys' },
    { of: 'prune' },
    {
      of: 'prune',
      case: '500 events and 100 records',
      rows: 600,
      given: async () => {
        await accountSql('UPDATE audit_events SET at = 1 WHERE seq <= 500')
        await accountSql("UPDATE idempotency SET created_at = 1 WHERE key LIKE 'key-__'")
      },
      after: async () => {
        expect(await accountSql('SELECT 1 FROM audit_events WHERE at = 1')).toEqual([])
        expect(await accountSql('SELECT 1 FROM idempotency WHERE created_at = 1')).toEqual([])
      },
    },
  ])
  expect(await offencesOf(table)).toEqual([])
  expect(kindsOf(table)).toEqual([...kinds.Account].sort())
  expect(kindsOf(table).filter((kind) => !ran.has(kind))).toEqual([])
}, 120_000)
