/** G3: what one tenant spends, exhausts or breaks is its own: budgets, limits, rates and Idempotency-Keys. */

import { describe, expect, it } from 'vitest'
import type { Answer } from '../support/broker/answer.ts'
import { type Broker, expectStatus, keysPath, newBroker, newTenant, newTurnKey } from '../support/broker/broker.ts'
import { outcomeOf, shown } from '../support/broker/contract.ts'
import { emulator } from '../support/broker/upstream.ts'
import { forgedToken } from '../support/secrets/apiTokens.ts'

const create = (broker: Broker, tenant: { id: string; token: string }, headers: Record<string, string> = {}) =>
  broker.call('POST', keysPath(tenant.id), tenant.token, { name: tenant.id }, headers)

const expectOutcome = (answer: Answer, outcome: string) => expect(outcomeOf(answer), shown(answer)).toBe(outcome)

/** A limiter that refuses these keys, and the keys it was asked about. */
function limiter(...full: string[]) {
  const asked: string[] = []
  const limit = async ({ key }: { key: string }) => {
    asked.push(key)
    return { success: !full.includes(key) }
  }
  return { limit, asked }
}

describe('G3: limits', () => {
  it("G3: The limit of one tenant's TURN keys leaves room for another's keys", async () => {
    const broker = newBroker()
    const acme = await newTenant(broker, 'acme', { policy: { maxTurnKeys: 1 } })
    const other = await newTenant(broker, 'other', { policy: { maxTurnKeys: 1 } })
    expectOutcome(await create(broker, acme), '201')
    expectOutcome(await create(broker, acme), '409 31009')
    expectOutcome(await create(broker, other), '201')
  })

  it('G3: Each tenant spends its own share of API calls', async () => {
    const broker = newBroker()
    const policy = { maxApiCallsPer5Min: 2 }
    const acme = await newTenant(broker, 'acme', { policy })
    const other = await newTenant(broker, 'other', { policy })
    expectOutcome(await create(broker, acme), '201')
    expectOutcome(await create(broker, acme), '201')
    const refused = await create(broker, acme)
    expectOutcome(refused, '429 31018')
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
    expectOutcome(await create(broker, other), '201')
    expectOutcome(await create(broker, other), '201')
  })

  it('G3: The share of API calls also binds a tenant that asks again and again for a removal that Cloudflare refuses', async () => {
    const broker = newBroker()
    const acme = await newTenant(broker, 'acme', { policy: { maxApiCallsPer5Min: 5 } })
    const uid = await newTurnKey(broker, acme)
    await emulator.fault({ operation: 'delete', fault: { kind: 'status', status: 500 }, times: 'always' })
    for (let round = 0; round < 20; round++) {
      const answer = await broker.call('DELETE', keysPath('acme', uid), acme.token)
      expect(answer.status, shown(answer)).toBeGreaterThanOrEqual(429)
    }
    // The creation is one call, and the removal that was ordered another: repeats spend what is left.
    expect((await emulator.log()).length).toBeLessThanOrEqual(6)
  })

  it('G3: The rate of a tenant is not spent by a stranger who writes tokens of that tenant', async () => {
    const acme = await newTenant(newBroker(), 'acme')
    const rates = { RATE_TENANT: limiter('other'), RATE_IP: limiter('192.0.2.1') }
    const broker = newBroker(rates)
    const forged = await forgedToken('acme', acme.tokenId)
    const flood = { 'cf-connecting-ip': '192.0.2.1' }
    expectOutcome(await broker.call('GET', keysPath('acme'), forged, undefined, flood), '429 31018')
    const calm = { 'cf-connecting-ip': '192.0.2.2' }
    expectOutcome(await broker.call('GET', keysPath('acme'), forged, undefined, calm), '401 10000')
    expect(rates.RATE_TENANT.asked).toEqual([])
    // The tenant itself, even from the flooded address, is counted as itself.
    expectOutcome(await broker.call('GET', keysPath('acme'), acme.token, undefined, flood), '200')
    expect(rates.RATE_TENANT.asked).toEqual(['acme'])
  })

  it("G3: The rate limit of one tenant does not stop another's requests", async () => {
    const setUp = newBroker()
    const acme = await newTenant(setUp, 'acme')
    const other = await newTenant(setUp, 'other')
    const broker = newBroker({ RATE_TENANT: limiter('acme') })
    expectOutcome(await broker.call('GET', keysPath('acme'), acme.token), '429 31018')
    expectOutcome(await broker.call('GET', keysPath('other'), other.token), '200')
  })

  it('G3: A tenant whose creation hangs upstream holds up no other tenant', async () => {
    const broker = newBroker()
    const acme = await newTenant(broker, 'acme')
    const other = await newTenant(broker, 'other')
    await emulator.hold('create', 'slow')
    const slow = create(broker, acme)
    await emulator.untilHeld('slow')
    expectOutcome(await create(broker, other), '201')
    expectOutcome(await broker.call('GET', keysPath('other'), other.token), '200')
    await emulator.release('slow')
    expectOutcome(await slow, '201')
  })

  it('G3: The same Idempotency-Key means another request to another tenant', async () => {
    const broker = newBroker()
    const acme = await newTenant(broker, 'acme')
    const other = await newTenant(broker, 'other')
    const headers = { 'idempotency-key': 'the-same' }
    const first = await create(broker, acme, headers)
    const second = await create(broker, other, headers)
    expectStatus(first, 201)
    expectStatus(second, 201)
    expect(second.json.result.uid).not.toBe(first.json.result.uid)
    expect((await create(broker, acme, headers)).json.result).toEqual(first.json.result)
  })
})
