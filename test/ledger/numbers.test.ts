/** G1: the numbers of the ledger and of the audit trail, which nothing in SQLite counts: none is given twice. */
import { runInDurableObject } from 'cloudflare:test'
import { describe, expect, it } from 'vitest'
import { migrate } from '../../src/storage/migrations.ts'
import { Remembered } from '../../src/tenant/core/remembered.ts'
import { MIGRATIONS } from '../../src/tenant/schema.ts'
import { expectStatus } from '../support/broker/broker.ts'
import { DAY_MS, HOUR_MS, MINUTE_MS, passTime } from '../support/broker/clock.ts'
import { runJobs, tenantStub } from '../support/storage/storage.ts'
import { breakAudit, repairAudit, tenantSql } from '../support/storage/tenantRows.ts'
import { expectOutcome, type Issuer, killObjects, newIssuer } from '../support/tenants/issuing.ts'

const numbers = async (): Promise<number[]> =>
  (await tenantSql('acme', 'SELECT seq FROM credentials ORDER BY seq')).map(({ seq }) => Number(seq))

const mint = async ({ generate }: Issuer) => expectOutcome(await generate({ ttl: 60 }), '201')

async function expire(): Promise<void> {
  passTime(HOUR_MS)
  await runJobs('acme')
  expect(await numbers()).toEqual([])
}

describe('G1: the number of a credential', () => {
  it('G1: The number of a credential is given once, also after every row was pruned and the object started again', async () => {
    const acme = await newIssuer()
    passTime(2 * MINUTE_MS)
    await mint(acme)
    await mint(acme)
    const [first = 0, second = 0] = await numbers()
    expect(second).toBe(first + 1)
    await expire()
    await mint(acme)
    expect(await numbers()).toEqual([second + 1])
    await expire()
    await killObjects()
    await mint(acme)
    expect(await numbers()).toEqual([second + 2])
    // A run that finds an empty ledger changes nothing either.
    await expire()
    await expire()
    await killObjects()
    await mint(acme)
    await killObjects()
    await mint(acme)
    expect(await numbers()).toEqual([second + 3, second + 4])
  })

  it('G1: The number of a credential whose row was rolled back goes to the next one, and counts go on exactly', async () => {
    const acme = await newIssuer()
    await mint(acme)
    const [first = 0] = await numbers()
    await breakAudit('acme')
    expectOutcome(await acme.generate({ ttl: 60 }), '503 31025')
    await repairAudit('acme')
    await mint(acme)
    expect(await numbers()).toEqual([first, first + 1])
  })

  it('G1: The number of a credential in an id that the broker did not give opens nothing', async () => {
    const acme = await newIssuer()
    await mint(acme)
    const [row] = await tenantSql('acme', 'SELECT seq, id FROM credentials')
    const id = String(row?.id)
    expect(id).toMatch(/^cr_[0-9A-Za-z]{10}[0-9]{12}$/)
    expect(Number(id.slice(-12))).toBe(row?.seq)
    const guessed = `cr_${'A'.repeat(10)}${id.slice(-12)}`
    const unknown = await acme.post('/revocations', { credentialId: guessed })
    expectStatus(unknown, 202)
    expect(unknown.json.matched).toBe(0)
    const known = await acme.post('/revocations', { credentialId: id })
    expect(known.json.matched).toBe(1)
  })
})

describe('G1: the number of an audit event', () => {
  it('G1: The number of an audit event is given once, also when the whole trail has grown too old', async () => {
    const acme = await newIssuer({ auditRetentionDays: 1 })
    const last = async () => Number((await tenantSql('acme', 'SELECT max(seq) AS seq FROM audit_events'))[0]?.seq)
    const before = await last()
    passTime(2 * DAY_MS)
    await runJobs('acme')
    await killObjects()
    await mint(acme)
    expect(await last()).toBe(before + 2) // the event of the pruning, and that of the mint
  })
})

describe('what an object remembers', () => {
  it('A value is read once, again after a write, and again after a transaction that was rolled back', async () => {
    await newIssuer()
    const reads = await runInDurableObject(tenantStub('acme'), (_, { storage: { sql } }) => {
      const values = new Remembered<string, number | undefined>(2)
      let reads = 0
      const read = (key: string, value?: number) =>
        values.get(sql, key, () => {
          reads++
          return value
        })
      const counted: number[] = []
      const readAll = (...keys: string[]) => {
        for (const key of keys) read(key, 1)
        counted.push(reads)
      }
      readAll('a', 'a', 'b')
      values.forget(sql)
      readAll('a', 'a')
      Remembered.forgetAll(sql)
      readAll('a', 'a')
      readAll('b', 'c', 'c') // one more than it remembers: only the last stays
      readAll('a')
      read('none')
      read('none') // what is not there is looked for again
      return [...counted, reads]
    })
    expect(reads).toEqual([2, 3, 4, 6, 7, 9])
  })
})

it('G1: What a transaction wrote before it was rolled back is not remembered', async () => {
  const acme = await newIssuer()
  await breakAudit('acme')
  expectStatus(await acme.broker.admin('PATCH', '/tenants/acme', { status: 'suspended' }), 503)
  await repairAudit('acme')
  await mint(acme)
})

it('Storage of before the first release is refused, and nothing in it changes', async () => {
  await runInDurableObject(tenantStub('old'), (_, { storage }) => {
    storage.sql.exec('CREATE TABLE _schema (version INTEGER NOT NULL)')
    storage.sql.exec('INSERT INTO _schema (version) VALUES (14)')
    expect(() => migrate(storage, MIGRATIONS)).toThrow('The storage has schema 14, of before the first release')
    expect(storage.sql.exec("SELECT name FROM sqlite_master WHERE type = 'table'").toArray()).toEqual([
      { name: '_schema' },
    ])
  })
})
