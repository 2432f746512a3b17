/** G18: the snapshot of a tenant in KV is kept alive by its mints: KV forgets an entry 24 h after its last put. */
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { snapshotKey, TenantSnapshot } from '../../src/cache/entries.ts'
import { expectStatus } from '../support/broker/broker.ts'
import { DAY_MS, HOUR_MS, MINUTE_MS, passTime, setClock, until } from '../support/broker/clock.ts'
import { deploy } from '../support/broker/deployment.ts'
import { doorsOf, newIssuer } from '../support/tenants/issuing.ts'

const KEY = snapshotKey('acme')

/** KV that counts the puts of the tenant's snapshot. */
function countedCache() {
  const puts = { count: 0 }
  const put = (key: string, value: string, options?: KVNamespacePutOptions) => {
    if (key === KEY) puts.count++
    return env.CACHE.put(key, value, options)
  }
  return { puts, CACHE: { get: env.CACHE.get.bind(env.CACHE), put, delete: env.CACHE.delete.bind(env.CACHE) } }
}

const confirmedAt = async (): Promise<number> => TenantSnapshot.parse(await env.CACHE.get(KEY, 'json')).confirmedAt

/** A tenant whose last administrative change is long ago; the clock stands at the beginning of a day from then on. */
async function quietTenant() {
  setClock((Math.floor(Date.now() / DAY_MS) + 2) * DAY_MS)
  const acme = await newIssuer()
  passTime(DAY_MS)
  return acme
}

describe('the snapshot of a tenant that only mints', () => {
  it('G18: The snapshot of a tenant that only mints from its back end is never older than half a day in KV', async () => {
    const acme = await quietTenant()
    const broker = deploy({})
    for (let hour = 0; hour < 48; hour++) {
      expectStatus(await doorsOf(broker, acme).generate(), 201)
      await until('KV is fresh', async () => Date.now() - (await confirmedAt()) < 12 * HOUR_MS)
      passTime(HOUR_MS)
    }
  })

  it('G18: The snapshot is written at most once in six hours by mints, however often the object starts', async () => {
    const acme = await quietTenant()
    const { puts, CACHE } = countedCache()
    for (let n = 0; n < 30; n++) {
      // A new deployment is a new object over the same storage.
      expectStatus(await doorsOf(deploy({ CACHE }), acme).generate({ ttl: 14_400 }), 201)
      passTime(10 * MINUTE_MS)
    }
    await until('it was written', async () => puts.count > 0)
    expect(puts.count).toBe(1)
    passTime(2 * HOUR_MS)
    expectStatus(await doorsOf(deploy({ CACHE }), acme).generate(), 201)
    await until('it was written again', async () => puts.count > 1)
    expect(puts.count).toBe(2)
  })

  it('A mint does not wait for the snapshot that it renews', async () => {
    const acme = await quietTenant()
    let begun = 0
    const CACHE = {
      get: env.CACHE.get.bind(env.CACHE),
      put: () => {
        begun++
        return new Promise(() => undefined)
      },
    }
    const asked = performance.now()
    expectStatus(await doorsOf(deploy({ CACHE }), acme).generate(), 201)
    // A put has 1.5 s.
    expect(performance.now() - asked).toBeLessThan(1_400)
    expect(begun).toBe(1)
  })
})
