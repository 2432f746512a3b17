/** G9: storms, counted by the emulator: how often all tenants call Cloudflare, and what a calm one notices. */
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { SCOPES } from '../../src/contract/scopes.ts'
import type { Answer } from '../support/broker/answer.ts'
import { expectStatus, keysPath, newBroker, newTenant, newTurnKey } from '../support/broker/broker.ts'
import { MINUTE_MS, SECOND_MS, setClock, within } from '../support/broker/clock.ts'
import { outcomeOf } from '../support/broker/contract.ts'
import { credentialsPath, served } from '../support/broker/doors.ts'
import { emulator } from '../support/broker/upstream.ts'
import { accountStub } from '../support/storage/tenantRows.ts'

/** A thousand calls upstream: more than a test may usually take on a busy machine. */
const A_STORM_MS = 120_000
const PARALLEL = 30
const UNLIMITED = { limit: async () => ({ success: true }) }
const WIDE = { maxApiCallsPer5Min: 600, maxTurnKeys: 1_000 }

/** Runs the tasks in order, `PARALLEL` at once. */
async function inParallel<T>(tasks: readonly (() => Promise<T>)[]): Promise<T[]> {
  const results: T[] = []
  for (let first = 0; first < tasks.length; first += PARALLEL) {
    results.push(...(await Promise.all(tasks.slice(first, first + PARALLEL).map((task) => task()))))
  }
  return results
}

/** The calls of the API for TURN keys that reached the emulator. */
const reached = async () =>
  (await emulator.log()).filter(({ operation }) => ['list', 'create', 'get', 'update', 'delete'].includes(operation))

const tally = (answers: readonly Answer[]) => {
  const counts: Record<string, number> = {}
  for (const answer of answers) counts[outcomeOf(answer)] = (counts[outcomeOf(answer)] ?? 0) + 1
  return counts
}

describe('G9: all tenants together', () => {
  it(
    'G9: All tenants together make at most 600 calls in any 5 minutes, operators 120, and are never blocked',
    async () => {
      const broker = newBroker({ RATE_TENANT: UNLIMITED, RATE_IP: UNLIMITED })
      const tenants = await Promise.all(
        ['one', 'two', 'three', 'four', 'five', 'six'].map((id) => newTenant(broker, id, { policy: WIDE })),
      )
      const keys = await Promise.all(tenants.map((tenant) => newTurnKey(broker, tenant)))
      const start = Math.ceil(Date.now() / 10_000) * 10_000 + 10 * MINUTE_MS
      setClock(start)
      await emulator.clearLog()
      const storm = (size: number) =>
        inParallel(
          Array.from({ length: size }, (_, n) => () => {
            const tenant = tenants[n % tenants.length]
            // Renames of one key that come at once are one call upstream; every creation is its own.
            const path = keysPath(tenant?.id ?? '', n % 5 === 0 ? keys[n % tenants.length] : undefined)
            return broker.call(n % 5 === 0 ? 'PUT' : 'POST', path, tenant?.token, { name: crypto.randomUUID() })
          }),
        )
      const first = tally(await storm(300))
      expect(first).toMatchObject({ 201: expect.any(Number), 200: expect.any(Number) })
      // The end of the same bucket: calls just before the end must still count 5 minutes later.
      setClock(start + 10 * SECOND_MS - 1)
      expect(tally(await storm(450))['429 31018']).toBeGreaterThanOrEqual(50)
      expect(await reached()).toHaveLength(600)
      // Operators have the calls that are reserved for them, through any tenant.
      const asOperator = Array.from({ length: 130 }, () => () => {
        return broker.call('POST', keysPath('one'), env.ADMIN_TOKEN, {})
      })
      expect(tally(await inParallel(asOperator))).toEqual({ 201: 120, '429 31018': 10 })
      expect(await reached()).toHaveLength(720)

      for (const afterMs of [MINUTE_MS, 4 * MINUTE_MS, 5 * MINUTE_MS - 1]) {
        setClock(start + 10 * SECOND_MS - 1 + afterMs)
        expect(tally(await storm(30)), `${afterMs} ms later`).toEqual({ '429 31018': 30 })
      }
      expect(await reached()).toHaveLength(720)
      expect((await reached()).filter(({ status }) => status === 429)).toEqual([])
      setClock(start + 10 * SECOND_MS + 5 * MINUTE_MS)
      expect(await accountStub().spend({ tenant: 'one', limit: 600, purpose: 'tenant' })).toMatchObject({ ok: true })
    },
    A_STORM_MS,
  )
})

describe('G9: a calm tenant', () => {
  it(
    'G9: A calm tenant that looks up and mints once a second is served while another orders 50 TURN keys a second',
    async () => {
      const broker = newBroker({ RATE_TENANT: UNLIMITED, RATE_IP: UNLIMITED })
      const calm = await served(broker, 'calm')
      const flood = await newTenant(broker, 'flood', { scopes: [...SCOPES], policy: { maxTurnKeys: 1_000 } })
      const start = Date.now() + MINUTE_MS
      const asked: Answer[] = []
      const flooded: Answer[] = []
      const timed = async (answer: Promise<Answer>) => {
        asked.push(await within(5 * SECOND_MS, 'the calm tenant is answered', answer))
      }
      for (let second = 0; second < 60; second++) {
        setClock(start + second * SECOND_MS)
        const orders = Array.from({ length: 50 }, async () => {
          flooded.push(await broker.call('POST', keysPath('flood'), flood.token, {}))
        })
        const path = credentialsPath(calm.uid, 'generate-ice-servers')
        await Promise.all([
          ...orders,
          timed(broker.call('GET', keysPath('calm', calm.uid), calm.token)),
          timed(broker.call('POST', path, calm.token, { ttl: 600 })),
        ])
      }
      const { 200: lookedUp = 0, 201: minted = 0 } = tally(asked)
      expect(lookedUp + minted, JSON.stringify(tally(asked))).toBeGreaterThanOrEqual(119)
      expect(tally(flooded)).toEqual({ 201: 60, '429 31018': 2_940 })
      // The flooding tenant has only its own share: the calm one can still create.
      expectStatus(await broker.call('POST', keysPath('calm'), calm.token, {}), 201)
      expect((await reached()).length).toBeLessThanOrEqual(720)
    },
    A_STORM_MS,
  )
})
