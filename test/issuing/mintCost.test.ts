/** What a mint costs in storage, and that it does not grow with the ledger. */
import { runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { expect, it } from 'vitest'
import { expectStatus, newBroker, newTenant, newTurnKey } from '../support/broker/broker.ts'
import { until } from '../support/broker/clock.ts'
import { tenantPath } from '../support/broker/doors.ts'
import { meterSql, type SqlCost } from '../support/storage/sqlMeter.ts'
import { tenantStub } from '../support/storage/storage.ts'
import { tenantSql } from '../support/storage/tenantRows.ts'

const SMALL = 1_000
const LARGE = 100_000
/** The ledger row with its three indexes, and the audit row. */
const MOST_ROWS_WRITTEN = 5
const MOST_STATEMENTS = 5

it('A mint reads and writes the same number of rows on a ledger of 10^3 and of 10^5 credentials', async () => {
  const broker = newBroker()
  const scopes = ['turn_keys:write', 'credentials:issue'] as const
  const acme = await newTenant(broker, 'acme', { scopes: [...scopes], policy: { maxLiveCredentials: 1_000_000 } })
  const uid = await newTurnKey(broker, acme)
  const object = env.TENANTS.get(env.TENANTS.idFromName('acme'))
  const mint = async (customIdentifier: string) => {
    const answer = await broker.call('POST', `/v1/turn/keys/${uid}/credentials/generate`, acme.token, {
      ttl: 60,
      customIdentifier,
    })
    expect(answer.status, answer.text).toBe(201)
  }
  const costAt = async (rows: number): Promise<SqlCost> => {
    await runInDurableObject(object, (_, state) => fillLedger(state.storage, uid, rows))
    await mint(`subject-${rows}`)
    await mint(`subject-${rows}`) // remembers the list of URLs
    const meter = await runInDurableObject(object, (_, state) => meterSql(state.storage.sql))
    await mint(`subject-${rows}`)
    return meter.stop()
  }

  // The report to the Account after a change is no part of a mint.
  await until(
    'the Account has the report',
    async () => (await tenantSql('acme', "SELECT * FROM jobs WHERE kind = 'mirror'")).length === 0,
  )
  const small = await costAt(SMALL)
  const large = await costAt(LARGE)
  expect(large).toEqual(small)
  expect(small.statements).toBeLessThanOrEqual(MOST_STATEMENTS)
  expect(small.rowsWritten).toBeLessThanOrEqual(MOST_ROWS_WRITTEN)
})

it('A mint without a key id reads no row of a deleted TURN key, of which 30 days are kept', async () => {
  const broker = newBroker()
  const acme = await newTenant(broker, 'acme', { scopes: ['turn_keys:write', 'credentials:issue'] })
  await newTurnKey(broker, acme)
  const path = tenantPath('acme', 'turn-rest?service=turn&username=ann')
  const mint = async () => expectStatus(await broker.call('GET', path, acme.token), 200)
  const costWith = async (deletedKeys: number): Promise<number> => {
    const meter = await runInDurableObject(tenantStub('acme'), (_, { storage: { sql } }) => {
      sql.exec(
        `INSERT INTO turn_keys (intent, uid, state, name, begun_at, state_at)
         WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?)
         SELECT 'i' || i, 'u' || i, 'deleted', 'old', 0, ? FROM n`,
        deletedKeys,
        Date.now(),
      )
      return meterSql(sql)
    })
    await mint()
    return meter.stop().rowsRead
  }
  await until(
    'the Account has the report',
    async () => (await tenantSql('acme', "SELECT * FROM jobs WHERE kind = 'mirror'")).length === 0,
  )
  await mint()
  expect(await costWith(2_000)).toBeLessThan(100)
})

/** Rows as mints leave them, of other subjects, so that the ledger holds `rows` of them. */
function fillLedger(storage: DurableObjectStorage, uid: string, rows: number): void {
  const { sql } = storage
  const { there } = sql.exec<{ there: number }>('SELECT count(*) AS there FROM credentials').one()
  const now = Date.now()
  storage.transactionSync(() => {
    sql.exec("INSERT OR IGNORE INTO url_lists (id, urls, used_at) VALUES (1000, '[]', 0)")
    sql.exec(
      `INSERT INTO credentials (id, username, state, subject_id, key_uid, url_list, issued_at, expires_at)
       WITH RECURSIVE n(i) AS (SELECT ? UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?)
       SELECT 'cr_' || i, 'user-' || i, 'live', 'su_' || (i % 997), ?, 1000, ?, ? + i FROM n`,
      there,
      rows,
      uid,
      now - 120_000,
      now + 3_600_000,
    )
  })
}
