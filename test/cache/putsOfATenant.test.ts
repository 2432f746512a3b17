/** What a tenant's requests write to KV: bounded by time, not by the number of requests. */
import { env } from 'cloudflare:workers'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { snapshotKey, turnKeyEntryKey } from '../../src/cache/entries.ts'
import { expectStatus, keysPath, newBroker, newTenant, newTurnKey } from '../support/broker/broker.ts'
import { MINUTE_MS, passTime, until } from '../support/broker/clock.ts'
import { runJobs } from '../support/storage/storage.ts'
import { jobRows } from '../support/storage/tenantRows.ts'

afterEach(() => {
  vi.restoreAllMocks()
})

const SNAPSHOT = snapshotKey('acme')

/** The keys and times of all puts of the tenants' objects from now on. */
function countedPuts(refusal?: Error) {
  const puts: { key: string; at: number }[] = []
  const original = env.CACHE.put.bind(env.CACHE)
  const counted = (...[key, value, options]: Parameters<typeof original>) => {
    puts.push({ key, at: performance.now() })
    return refusal ? Promise.reject(refusal) : original(key, value, options)
  }
  vi.spyOn(env.CACHE, 'put').mockImplementation(counted as typeof env.CACHE.put) // one of its overloads is used
  return { of: (key: string) => puts.filter((put) => put.key === key) }
}

const many = (count: number, ask: () => Promise<unknown>) => Promise.all(Array.from({ length: count }, ask))

describe('requests that confirm the snapshot', () => {
  it('Forty requests with another tenant in the path write the snapshot no more than once', async () => {
    const broker = newBroker()
    const acme = await newTenant(broker, 'acme')
    await newTenant(broker, 'beta')
    const puts = countedPuts()
    await many(40, async () => {
      const answer = await newBroker().call('GET', keysPath('beta'), acme.token)
      expect([403, 404]).toContain(answer.status)
    })
    expect(puts.of(SNAPSHOT).length).toBeLessThanOrEqual(1)
  })

  it('Forty look-ups that KV does not answer write the snapshot and the key once a second at most', async () => {
    const broker = newBroker()
    const acme = await newTenant(broker, 'acme')
    const uid = await newTurnKey(broker, acme)
    passTime(MINUTE_MS)
    const puts = countedPuts()
    await many(40, async () => expectStatus(await newBroker().call('GET', keysPath('acme', uid), acme.token), 200))
    await until('both are written', async () => puts.of(SNAPSHOT).length > 0)
    expect(puts.of(SNAPSHOT)).toHaveLength(1)
    expect(puts.of(turnKeyEntryKey('acme', uid))).toHaveLength(1)
  })

  it('G6: Twenty changes of a policy at once are written to KV in at most two puts, a second apart, and the last one stands', async () => {
    const broker = newBroker()
    await newTenant(broker, 'acme')
    const puts = countedPuts()
    const changes = Array.from({ length: 20 }, (_, n) => `https://app-${n}.example.com`)
    const answers = await Promise.all(
      changes.map((origin) => broker.admin('PATCH', '/tenants/acme', { policy: { allowedOrigins: [origin] } })),
    )
    for (const answer of answers) expectStatus(answer, 200)
    const [first = 0, second, ...more] = puts.of(SNAPSHOT).map(({ at }) => at)
    expect(first).toBeGreaterThan(0)
    if (second !== undefined) expect(second - first).toBeGreaterThan(950)
    expect(more).toEqual([])
    const { policy } = (await broker.admin('GET', '/tenants/acme')).json
    expect(await env.CACHE.get(SNAPSHOT, 'json')).toMatchObject({ allowedOrigins: policy.allowedOrigins })
  })
})

describe('puts that KV refuses', () => {
  it('Puts that KV refuses leave one job for the KV key, which keeps its time, however many are refused', async () => {
    const broker = newBroker()
    const acme = await newTenant(broker, 'acme')
    const uid = await newTurnKey(broker, acme)
    const puts = countedPuts(new Error('KV PUT failed: 429 Too Many Requests'))
    expectStatus(await broker.call('PUT', keysPath('acme', uid), acme.token, { name: 'second' }), 200)
    const [job] = await jobRows('acme')
    expect(job).toMatchObject({ kind: 'cache', key: turnKeyEntryKey('acme', uid) })
    for (const name of ['third', 'fourth']) {
      expectStatus(await broker.call('PUT', keysPath('acme', uid), acme.token, { name }), 200)
    }
    expect(puts.of(turnKeyEntryKey('acme', uid))).toHaveLength(3)
    expect(await jobRows('acme')).toEqual([job])
    vi.restoreAllMocks()
    passTime(MINUTE_MS)
    await runJobs('acme')
    expect(await jobRows('acme')).toEqual([])
    expect(await env.CACHE.get(turnKeyEntryKey('acme', uid), 'json')).toMatchObject({ key: { name: 'fourth' } })
  })
})

describe('what takes a right away', () => {
  const rights = [
    [
      'A suspension',
      (broker: ReturnType<typeof newBroker>) => broker.admin('PATCH', '/tenants/acme', { status: 'suspended' }),
      { status: 'suspended' },
    ],
    [
      'The deletion of a tenant',
      (broker: ReturnType<typeof newBroker>) => broker.admin('DELETE', '/tenants/acme'),
      { status: 'deleting', tokens: [] },
    ],
  ] as const

  it.each(rights)(
    'G6: %s is in KV when it is answered, also right after another change, and nothing older is written after it',
    async (_name, takeAway, expected) => {
      const broker = newBroker()
      await newTenant(broker, 'acme')
      expectStatus(await broker.admin('PATCH', '/tenants/acme', { name: 'Acme' }), 200)
      const puts = countedPuts()
      const before = broker.admin('PATCH', '/tenants/acme', { name: 'Acme & Co' })
      await until(
        'the change waits for its second',
        async () => (await broker.admin('GET', '/tenants/acme')).json.name === 'Acme & Co',
      )
      expect((await takeAway(broker)).status).toBeLessThan(300)
      expect(await env.CACHE.get(SNAPSHOT, 'json')).toMatchObject(expected)
      expectStatus(await before, 200)
      expect(puts.of(SNAPSHOT)).toHaveLength(1)
      expect(await env.CACHE.get(SNAPSHOT, 'json')).toMatchObject(expected)
    },
  )
})
