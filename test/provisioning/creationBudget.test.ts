/** G9: the budget of Cloudflare API calls in 5 minutes: 600 for tenants, each its share, 120 for recovery, 120 for operators. */

import { describe, expect, it } from 'vitest'
import { expectStatus, keysPath, newBroker, newTenant } from '../support/broker/broker.ts'
import { MINUTE_MS, SECOND_MS, setClock } from '../support/broker/clock.ts'
import { expectFailure } from '../support/broker/errors.ts'
import { emulator } from '../support/broker/upstream.ts'
import { accountSql, accountStub } from '../support/storage/tenantRows.ts'

const BUCKET_MS = 10 * SECOND_MS
type Purpose = 'tenant' | 'operator' | 'recovery'

/** Asks for calls one after the other until one is refused, or `most` were granted; how many were. */
async function spendUpTo(most: number, tenant: string, purpose: Purpose, limit = 600): Promise<number> {
  for (let granted = 0; granted < most; granted++) {
    const { ok } = await accountStub().spend({ tenant, limit, purpose })
    if (!ok) return granted
  }
  return most
}

/** Books calls as if they had been made now. */
const book = (tenant: string, calls: number, purpose: Purpose = 'tenant') =>
  accountSql(
    `INSERT INTO api_calls VALUES ('${purpose}', ${Math.floor(Date.now() / BUCKET_MS)}, '${tenant}', ${calls})`,
  )

/** The start of a bucket, an hour ahead of the real time. */
const startOfBucket = () => Math.ceil(Date.now() / BUCKET_MS) * BUCKET_MS + 60 * MINUTE_MS

describe('G9: the budget', () => {
  it('G9: The budget of a tenant is its policy’s share: then 429, a wait of at most a minute, and nothing upstream', async () => {
    const broker = newBroker()
    const acme = await newTenant(broker, 'acme', { policy: { maxApiCallsPer5Min: 2, maxTurnKeys: 10 } })
    const beta = await newTenant(broker, 'beta')
    const create = (tenant: { id: string; token: string }) => broker.call('POST', keysPath(tenant.id), tenant.token, {})
    expectStatus(await create(acme), 201)
    expectStatus(await create(acme), 201)
    await emulator.clearLog()
    const refused = await create(acme)
    expectFailure(refused, 'rate_limited')
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
    // It came to nothing, so the client may repeat it by itself.
    expect(refused.headers.get('x-should-retry')).toBeNull()
    expect(await emulator.log()).toEqual([])
    expectStatus(await create(beta), 201)
  })

  it('G9: The budget of all tenants is 600, whatever their shares say; recovery and operators have 120 each, for themselves', async () => {
    const broker = newBroker()
    const acme = await newTenant(broker, 'acme')
    setClock(startOfBucket())
    await book('beta', 598)
    expect(await spendUpTo(5, 'acme', 'tenant')).toBe(2)
    expectFailure(await broker.call('POST', keysPath('acme'), acme.token, {}), 'rate_limited')
    expect(await emulator.log()).toEqual([])
    expect(await spendUpTo(200, 'acme', 'recovery', 1)).toBe(12)
    await book('gamma', 107, 'recovery')
    expect(await spendUpTo(5, 'delta', 'recovery')).toBe(1)
    expect(await spendUpTo(200, 'acme', 'operator', 1)).toBe(120)
    expect(await accountSql('SELECT sum(calls) AS spent FROM api_calls')).toEqual([{ spent: 840 }])
  })

  it('G9: The budget is exact under parallel requests', async () => {
    setClock(startOfBucket())
    await book('beta', 580)
    const spendings = Array.from({ length: 60 }, (_, n) =>
      accountStub().spend({ tenant: `t${n % 7}`, limit: 600, purpose: 'tenant' }),
    )
    const answers = await Promise.all(spendings)
    expect(answers.filter(({ ok }) => ok)).toHaveLength(20)
  })

  it('G9: The budget counts a creation that begins again with its intent twice, and notes whose it is once', async () => {
    const spending = { tenant: 'acme', limit: 600, purpose: 'tenant', intent: 'i' } as const
    for (let n = 0; n < 2; n++) expect(await accountStub().spend(spending)).toMatchObject({ ok: true })
    expect(await accountSql('SELECT sum(calls) AS spent FROM api_calls')).toEqual([{ spent: 2 }])
    expect(await accountSql('SELECT intent, tenant FROM creations')).toEqual([{ intent: 'i', tenant: 'acme' }])
  })

  it('G9: The budget slides: never more than 600 calls of tenants in any 5 minutes, and room again when they have passed', async () => {
    const start = startOfBucket()
    // Calls at the very end of a bucket are the ones a careless window forgets too early.
    const spentAt = start + BUCKET_MS - 1
    setClock(spentAt)
    await book('beta', 600)
    for (const afterMs of [0, MINUTE_MS, 4 * MINUTE_MS, 5 * MINUTE_MS - BUCKET_MS + 1, 5 * MINUTE_MS - 1]) {
      setClock(spentAt + afterMs)
      const refused = await accountStub().spend({ tenant: 'acme', limit: 600, purpose: 'tenant' })
      expect(refused, `${afterMs} ms later`).toMatchObject({ ok: false, failure: { code: 'rate_limited' } })
      const wait = refused.ok ? 0 : (refused.failure.retryAfterSeconds ?? 0)
      expect(wait).toBeGreaterThanOrEqual(1)
      expect(wait).toBeLessThanOrEqual(60)
    }
    setClock(spentAt + 5 * MINUTE_MS + 1)
    expect(await spendUpTo(1, 'acme', 'tenant')).toBe(1)
    // What is past the window is forgotten, so the table stays small.
    expect(await accountSql('SELECT count(*) AS rows FROM api_calls')).toEqual([{ rows: 1 }])
  })

  it('G9: The budget has room when Retry-After says so: a caller that waits as long gets through', async () => {
    const start = startOfBucket()
    setClock(start)
    await book('beta', 600)
    setClock(start + 5 * MINUTE_MS - 30 * SECOND_MS)
    const refused = await accountStub().spend({ tenant: 'acme', limit: 600, purpose: 'tenant' })
    if (refused.ok) throw new Error('the budget was spent')
    setClock(Date.now() + (refused.failure.retryAfterSeconds ?? 0) * SECOND_MS)
    expect(await spendUpTo(1, 'acme', 'tenant')).toBe(1)
  })
})
