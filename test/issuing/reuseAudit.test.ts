/** G1: a repeat is audited once a credential and minute; further repeats are counted, and the counts are written within 10 s. */
import { runInDurableObject } from 'cloudflare:test'
import { expect, it } from 'vitest'
import { expectStatus } from '../support/broker/broker.ts'
import { MINUTE_MS, passTime, until } from '../support/broker/clock.ts'
import { meterSql } from '../support/storage/sqlMeter.ts'
import { tenantStub } from '../support/storage/storage.ts'
import { breakAudit, repairAudit, tenantSql } from '../support/storage/tenantRows.ts'
import { expectOutcome, type Issuer, newIssuer } from '../support/tenants/issuing.ts'

const repeatRows = async () =>
  (
    await tenantSql('acme', "SELECT target, count FROM audit_events WHERE action = 'credential.reuse' ORDER BY seq")
  ).map(({ count }) => count)

const reusedOf = async ({ broker, token }: Issuer): Promise<number> => {
  const self = await broker.call('GET', '/v1/tenants/acme', token)
  expectStatus(self, 200)
  return self.json.usage[0].reused
}

const rowsWritten = async (work: () => Promise<unknown>): Promise<number> => {
  const meter = await runInDurableObject(tenantStub('acme'), (_, { storage }) =>
    meterSql(storage.sql, 'of this object'),
  )
  await work()
  return (await runInDurableObject(tenantStub('acme'), () => meter.stop())).rowsWritten
}

it('G1: The first repeat of a credential in a minute writes one audit row, and further ones write nothing', async () => {
  const acme = await newIssuer()
  const token = await acme.clientToken()
  expectStatus(await acme.ice(token), 201)
  await until(
    'the first reports are there',
    async () => (await tenantSql('acme', "SELECT 1 FROM jobs WHERE kind = 'mirror'")).length === 0,
  )
  passTime(2 * MINUTE_MS)
  const first = await rowsWritten(async () => expectStatus(await acme.ice(token), 201))
  const further = await rowsWritten(async () => expectStatus(await acme.ice(token), 201))
  expect(await repeatRows()).toEqual([1])
  expect(first).toBe(1)
  expect(further).toBe(0)
  expect(await reusedOf(acme)).toBe(2)
})

/** Waits, 10 s at most, until the rows of the repeats have these counts. */
async function written(counts: readonly number[]): Promise<void> {
  const begun = performance.now()
  while (JSON.stringify(await repeatRows()) !== JSON.stringify(counts)) {
    if (performance.now() - begun > 10_000) throw new Error(`${await repeatRows()} after 10 s`)
    await scheduler.wait(100)
  }
}

it('G1: The counts of repeats are written within ten seconds, also those of a minute that is over', async () => {
  const acme = await newIssuer()
  const token = await acme.clientToken()
  passTime(2 * MINUTE_MS) // stands still from here on: all in one minute
  for (let n = 0; n < 4; n++) expectStatus(await acme.ice(token), 201)
  expect(await repeatRows()).toEqual([1])
  await written([3])
  expect(await tenantSql('acme', 'SELECT reused FROM usage_days')).toEqual([{ reused: 3 }])
  expectStatus(await acme.ice(token), 201)
  passTime(2 * MINUTE_MS)
  expectStatus(await acme.ice(token), 201)
  expect(await repeatRows()).toEqual([3, 1])
  await written([4, 1])
  expect(await reusedOf(acme)).toBe(5)
})

it('G1: A credential whose repeat cannot be recorded is not handed out, and its count is not lost', async () => {
  const acme = await newIssuer()
  const token = await acme.clientToken()
  expectStatus(await acme.ice(token), 201)
  await breakAudit('acme')
  expectOutcome(await acme.ice(token), '503 storage_failed')
  await repairAudit('acme')
  expectStatus(await acme.ice(token), 201)
  expect(await reusedOf(acme)).toBe(1)
})
