/** Calls about TURN keys go upstream one at a time, in a bounded queue: a flood of creations takes nothing from mints. */

import { expect, it } from 'vitest'
import { withBulkhead } from '../../src/cloudflare/guardedTurnKeys.ts'
import type { Reply } from '../../src/cloudflare/reply.ts'
import type { TurnKeysApi } from '../../src/cloudflare/turnKeys.ts'
import { Semaphore } from '../../src/concurrency/semaphore.ts'
import { keysPath } from '../support/broker/broker.ts'
import { until } from '../support/broker/clock.ts'
import { countAsked, emulator, liveKeys } from '../support/broker/upstream.ts'
import { keyRows } from '../support/storage/tenantRows.ts'
import { newIssuer, tally } from '../support/tenants/issuing.ts'

it('While a creation hangs, eighty more wait or are refused, and mints go on', async () => {
  const acme = await newIssuer({ maxTurnKeys: 200, maxApiCallsPer5Min: 600 })
  await emulator.clearLog()
  await emulator.hold('create', 'open')
  const create = () => acme.broker.call('POST', keysPath('acme'), acme.token, {})
  const first = create()
  await emulator.untilHeld('open')
  const others = Array.from({ length: 80 }, create)
  await until('all are ordered', async () => (await keyRows('acme')).length === 82)
  expect(await countAsked('create')).toBe(1)
  expect(tally(await Promise.all(Array.from({ length: 20 }, () => acme.generate())))).toEqual({ '201': 20 })
  await emulator.release('open')

  // Those that found no place, or waited in vain, were not asked: a plain no, and none is in doubt.
  const { '201': made = 0, '503 31024': busy = 0 } = tally([await first, ...(await Promise.all(others))])
  expect(made + busy).toBe(81)
  expect(busy).toBeGreaterThanOrEqual(16)
  expect(await countAsked('create')).toBe(made)
  expect(await liveKeys()).toHaveLength(made + 1)
  const states = (await keyRows('acme')).map(({ state }) => state)
  expect(states.filter((state) => state === 'failed')).toHaveLength(busy)
  expect(states).not.toContain('unknown')
})

it('A host that is gone is let alone for a second after 24 failures in a row, then asked by one', async () => {
  let now = 0
  let asked = 0
  let reply: Reply<undefined> = { kind: 'doubtful', reason: 'network' }
  const remove = async () => {
    asked++
    return reply
  }
  const api = withBulkhead({ remove } as unknown as TurnKeysApi, { connection: new Semaphore(1, 64), now: () => now })
  const kinds = async (count: number) => {
    const replies: Reply<unknown>[] = []
    for (let n = 0; n < count; n++) replies.push(await api.remove('u'.repeat(32), 6_000))
    return replies.map(({ kind }) => kind)
  }
  expect(await kinds(24)).toEqual(Array(24).fill('doubtful'))
  expect(await kinds(5)).toEqual(Array(5).fill('rate-limited'))
  expect(asked).toBe(24)
  now += 1_000
  expect(await kinds(3)).toEqual(['doubtful', 'rate-limited', 'rate-limited'])
  now += 1_000
  reply = { kind: 'refused', status: 403 }
  expect(await kinds(3)).toEqual(['refused', 'refused', 'refused'])
  expect(asked).toBe(28)
})
