/** Look-ups and KV: fresh entries spare the objects, stale ones are bounded by a minute, poisoned ones are misses. */
import { env } from 'cloudflare:workers'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { FORMAT, snapshotKey, turnKeyEntryKey } from '../../src/cache/entries.ts'
import { brokenCache, countedObjects, staleCache } from '../support/broker/bindings.ts'
import { expectStatus, keysPath, newBroker, newTenant, newToken, newTurnKey } from '../support/broker/broker.ts'
import { MINUTE_MS, passTime, SECOND_MS, setClock } from '../support/broker/clock.ts'
import { expectFailure } from '../support/broker/errors.ts'
import { runJobs } from '../support/storage/storage.ts'
import { jobRows } from '../support/storage/tenantRows.ts'

afterEach(() => {
  vi.restoreAllMocks()
})

/** A tenant with one key, both in KV as of `confirmedAt`. */
async function cachedKey() {
  const broker = newBroker()
  const acme = await newTenant(broker, 'acme')
  const uid = await newTurnKey(broker, acme)
  const entry = await env.CACHE.get<{ confirmedAt: number }>(turnKeyEntryKey('acme', uid), 'json')
  const snapshot = await env.CACHE.get<{ confirmedAt: number }>(snapshotKey('acme'), 'json')
  if (!entry || !snapshot) throw new Error('the Tenant has written both')
  return { broker, acme, uid, path: keysPath('acme', uid), entry, snapshot }
}

describe('a fresh entry', () => {
  it('A fresh entry answers two hundred look-ups without reaching for any object', async () => {
    const { acme, path } = await cachedKey()
    const { reached, ...objects } = countedObjects()
    const edge = newBroker(objects)
    for (let n = 0; n < 4; n++) {
      const answers = await Promise.all(Array.from({ length: 50 }, () => edge.call('GET', path, acme.token)))
      for (const answer of answers) expectStatus(answer, 200)
    }
    expect(reached.count).toBe(0)
  })

  it('A fresh entry is believed for 60 seconds after the Tenant confirmed it, not longer, and then written again', async () => {
    const { acme, path, entry, snapshot } = await cachedKey()
    const { reached, ...objects } = countedObjects()
    const edge = newBroker({ ...objects, CACHE: await staleCache() })
    const oldest = Math.min(entry.confirmedAt, snapshot.confirmedAt)
    setClock(oldest + MINUTE_MS)
    expectStatus(await edge.call('GET', path, acme.token), 200)
    expect(reached.count).toBe(0)
    setClock(oldest + MINUTE_MS + 1)
    expectStatus(await edge.call('GET', path, acme.token), 200)
    expect(reached.count).toBe(1)
  })

  it('A fresh entry answers no list and no write: those are the Tenant’s', async () => {
    const { acme, path } = await cachedKey()
    const { reached, ...objects } = countedObjects()
    const edge = newBroker(objects)
    expectStatus(await edge.call('GET', keysPath('acme'), acme.token), 200)
    expectStatus(await edge.call('PUT', path, acme.token, {}), 200)
    expect(reached.count).toBe(2)
  })
})

describe('after a change', () => {
  it('After a change an isolate that answered the old entry of KV answers the new one as soon as KV has it', async () => {
    const { broker, acme, path } = await cachedKey()
    const { reached, ...objects } = countedObjects()
    const edge = newBroker(objects)
    const nameSeen = async () => (await edge.call('GET', path, acme.token)).json.result.name
    expect([await nameSeen(), await nameSeen()]).toEqual(['first', 'first'])
    passTime(SECOND_MS)
    expectStatus(await broker.call('PUT', path, acme.token, { name: 'second' }), 200)
    expect([await nameSeen(), await nameSeen()]).toEqual(['second', 'second'])
    expect(reached.count).toBe(0)
  })

  it('After a change a rename is seen at once through the Tenant, and within 60 s where KV is stale', async () => {
    const { broker, acme, path, entry } = await cachedKey()
    const elsewhere = newBroker({ CACHE: await staleCache() })
    expectStatus(await broker.call('PUT', path, acme.token, { name: 'second' }), 200)
    const nameSeenBy = async (edge: typeof broker) => (await edge.call('GET', path, acme.token)).json.result.name
    expect(await nameSeenBy(broker)).toBe('second')
    expect(await nameSeenBy(newBroker())).toBe('second')
    expect(await nameSeenBy(newBroker({ CACHE: brokenCache() }))).toBe('second')
    expect(await nameSeenBy(elsewhere)).toBe('first')
    setClock(entry.confirmedAt + MINUTE_MS + 1)
    expect(await nameSeenBy(elsewhere)).toBe('second')
  })

  it('After a change a deletion is seen at once through the Tenant, and within 60 s where KV is stale', async () => {
    const { broker, acme, path, entry } = await cachedKey()
    const elsewhere = newBroker({ CACHE: await staleCache() })
    expectStatus(await broker.call('DELETE', path, acme.token), 200)
    expectFailure(await broker.call('GET', path, acme.token), 'no_such_key')
    expectFailure(await newBroker().call('GET', path, acme.token), 'no_such_key')
    expectStatus(await elsewhere.call('GET', path, acme.token), 200)
    expectFailure(await elsewhere.call('DELETE', path, acme.token), 'no_such_key')
    setClock(entry.confirmedAt + MINUTE_MS + 1)
    expectFailure(await elsewhere.call('GET', path, acme.token), 'no_such_key')
  })

  it('After a change a deleted API token reads on for at most 60 s where KV is stale, and writes nothing from the start', async () => {
    const { broker, acme, path, snapshot } = await cachedKey()
    const elsewhere = newBroker({ CACHE: await staleCache() })
    expectStatus(await broker.admin('DELETE', `/tenants/acme/api-tokens/${acme.tokenId}`), 204)
    expectFailure(await broker.call('GET', path, acme.token), 'invalid_token')
    expectStatus(await elsewhere.call('GET', path, acme.token), 200)
    expectFailure(await elsewhere.call('PUT', path, acme.token, { name: 'x' }), 'invalid_token')
    setClock(snapshot.confirmedAt + MINUTE_MS + 1)
    expectFailure(await elsewhere.call('GET', path, acme.token), 'invalid_token')
  })

  it('After a change a key, token or tenant that KV does not know yet is found all the same', async () => {
    const broker = newBroker()
    const before = await staleCache()
    const acme = await newTenant(broker, 'acme')
    const uid = await newTurnKey(broker, acme)
    const elsewhere = newBroker({ CACHE: before })
    expectStatus(await elsewhere.call('GET', keysPath('acme', uid), acme.token), 200)
    const known = newBroker({ CACHE: await staleCache() })
    const later = await newToken(broker, 'acme', ['turn_keys:read'])
    const newer = await newTurnKey(broker, acme, 'second')
    expectStatus(await known.call('GET', keysPath('acme', newer), later.token), 200)
  })
})

describe('KV that fails', () => {
  it('KV that fails to be read is a miss', async () => {
    const { acme, path } = await cachedKey()
    const answer = await newBroker({ CACHE: brokenCache() }).call('GET', path, acme.token)
    expectStatus(answer, 200)
    expect(answer.headers.get('cache-status')).toMatch(/^tenant; hit; ttl=\d+, edge; fwd=miss$/)
  })

  it('KV that fails to be written fails no request, and what is true then is written by a job', async () => {
    const { broker, acme, path, uid } = await cachedKey()
    const put = vi.spyOn(env.CACHE, 'put').mockRejectedValue(new Error('KV is out of reach'))
    expectStatus(await broker.call('PUT', path, acme.token, { name: 'second' }), 200)
    expectStatus(await broker.admin('PATCH', '/tenants/acme', { name: 'Acme' }), 200)
    expect(put).toHaveBeenCalled()
    const key = turnKeyEntryKey('acme', uid)
    expect(await jobRows('acme')).toMatchObject([
      { kind: 'cache', key: snapshotKey('acme') },
      { kind: 'cache', key },
    ])
    // Still broken when the job comes: it stays.
    passTime(MINUTE_MS)
    await runJobs('acme')
    expect(await jobRows('acme')).toHaveLength(2)
    expect(await env.CACHE.get(key, 'json')).toMatchObject({ key: { name: 'first' } })

    put.mockRestore()
    passTime(MINUTE_MS)
    await runJobs('acme')
    expect(await jobRows('acme')).toEqual([])
    expect(await env.CACHE.get(key, 'json')).toMatchObject({ key: { name: 'second' }, confirmedAt: Date.now() })
    expect(await env.CACHE.get(snapshotKey('acme'), 'json')).toMatchObject({ confirmedAt: Date.now() })
  })

  it('KV that fails of a deletion leaves no key behind once it works again', async () => {
    const { broker, acme, path, uid } = await cachedKey()
    const put = vi.spyOn(env.CACHE, 'put').mockRejectedValueOnce(new Error('KV is out of reach'))
    expectStatus(await broker.call('DELETE', path, acme.token), 200)
    put.mockRestore()
    passTime(MINUTE_MS)
    await runJobs('acme')
    expect(await env.CACHE.get(turnKeyEntryKey('acme', uid), 'json')).toMatchObject({ uid, key: null })
  })
})

describe('a poisoned entry is a miss:', () => {
  type Entry = { key: Record<string, unknown> } & Record<string, unknown>
  const poisons: [string, (entry: Entry) => unknown][] = [
    ['no JSON', () => undefined],
    ['null', () => null],
    ['an array', (entry) => [entry]],
    ['an older format', (entry) => ({ ...entry, v: FORMAT - 1 })],
    ['a newer format', (entry) => ({ ...entry, v: FORMAT + 1 })],
    ['another tenant', (entry) => ({ ...entry, tenant: 'beta' })],
    ['no tenant', ({ tenant: _, ...entry }) => entry],
    ['another key', (entry) => ({ ...entry, uid: 'b'.repeat(32) })],
    ['another key inside', (entry) => ({ ...entry, key: { ...entry.key, uid: 'b'.repeat(32) } })],
    ['a state nobody may see', (entry) => ({ ...entry, key: { ...entry.key, state: 'deleting' } })],
    ['a name of another type', (entry) => ({ ...entry, key: { ...entry.key, name: 7 } })],
    ['no time', ({ confirmedAt: _, ...entry }) => entry],
    ['a time as text', (entry) => ({ ...entry, confirmedAt: String(entry.confirmedAt) })],
    ['a time in the future', (entry) => ({ ...entry, confirmedAt: Date.now() + MINUTE_MS })],
    ['a time of two minutes ago', (entry) => ({ ...entry, confirmedAt: Date.now() - 2 * MINUTE_MS })],
    ['a deletion that was none', (entry) => ({ ...entry, key: null })],
  ]

  it.each(poisons)('A poisoned entry is a miss: %s', async (_name, poison) => {
    const { broker, acme, uid, path, entry } = await cachedKey()
    const good = entry as unknown as Entry // as the Tenant wrote it
    const value = poison({ ...good, key: { ...good.key, name: 'POISON' } })
    await env.CACHE.put(turnKeyEntryKey('acme', uid), value === undefined ? '{"v":1,' : JSON.stringify(value))
    const answer = await broker.call('GET', path, acme.token)
    expectStatus(answer, 200)
    expect(answer.text).not.toContain('POISON')
    expect(answer.json.result).toEqual(good.key)
    expect(answer.headers.get('cache-status')).toMatch(/^tenant; hit/)
  })

  it('A poisoned entry is a miss: (and one that is right would have been served)', async () => {
    const { broker, acme, uid, path, entry } = await cachedKey()
    const good = entry as unknown as Entry // as the Tenant wrote it
    const value = { ...good, key: { ...good.key, name: 'POISON' }, confirmedAt: Date.now() - 30 * SECOND_MS }
    await env.CACHE.put(turnKeyEntryKey('acme', uid), JSON.stringify(value))
    expect((await broker.call('GET', path, acme.token)).text).toContain('POISON')
  })

  it('A poisoned entry is a miss: another tenant’s entry and snapshot under this tenant’s names', async () => {
    const { broker, acme, path, uid } = await cachedKey()
    const beta = await newTenant(broker, 'beta')
    const foreign = await newTurnKey(broker, beta, 'FOREIGN')
    const entry = await env.CACHE.get(turnKeyEntryKey('beta', foreign))
    await env.CACHE.put(turnKeyEntryKey('acme', uid), String(entry))
    await env.CACHE.put(snapshotKey('acme'), String(await env.CACHE.get(snapshotKey('beta'))))
    const answer = await broker.call('GET', path, acme.token)
    expectStatus(answer, 200)
    expect(answer.json.result.uid).toBe(uid)
    expectFailure(await broker.call('GET', path, beta.token), 'no_such_key')
    expectFailure(await broker.call('GET', keysPath('acme', foreign), acme.token), 'no_such_key')
  })
})
