/** G3: what somebody, or an older release, left in KV is believed only in today's format, of this tenant, and fresh. */
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { FORMAT, snapshotKey, TenantSnapshot, TurnKeyEntry, turnKeyEntryKey } from '../../src/cache/entries.ts'
import type { Answer } from '../support/broker/answer.ts'
import { expectStatus, keysPath, newBroker, newToken } from '../support/broker/broker.ts'
import { MINUTE_MS, passTime, SECOND_MS, until } from '../support/broker/clock.ts'
import { outcomeOf, shown } from '../support/broker/contract.ts'
import { furnish } from '../support/contract/callers.ts'
import { leakedCheckToken } from '../support/secrets/apiTokens.ts'

type Planted = object | string

/** Each turns an entry that would be believed into one that must not be. */
const NOT_BELIEVED: [string, (entry: Record<string, unknown>) => Planted | ArrayBuffer][] = [
  ['of another tenant', (entry) => ({ ...entry, tenant: 'other' })],
  ['of no tenant', ({ tenant: _, ...entry }) => entry],
  ['of an older format', (entry) => ({ ...entry, v: 0 })],
  ['of a newer format', (entry) => ({ ...entry, v: FORMAT + 1 })],
  ['with its format as text', (entry) => ({ ...entry, v: String(FORMAT) })],
  ['61 s old', (entry) => ({ ...entry, confirmedAt: Date.now() - 61 * SECOND_MS })],
  ['dated 6 s into the future', (entry) => ({ ...entry, confirmedAt: Date.now() + 6 * SECOND_MS })],
  ['dated a year into the future', (entry) => ({ ...entry, confirmedAt: Date.now() + 365 * 24 * 60 * MINUTE_MS })],
  ['dated in text', (entry) => ({ ...entry, confirmedAt: String(Date.now()) })],
  ['dated null', (entry) => ({ ...entry, confirmedAt: null })],
  ['without a date', ({ confirmedAt: _, ...entry }) => entry],
  ['that is cut short', (entry) => JSON.stringify(entry).slice(0, -1)],
  ['that is empty', () => ''],
  ['that is null', () => 'null'],
  ['that is a list', (entry) => [entry]],
  ['that is HTML', () => '<html>'],
  ['that is no text', () => Uint8Array.of(0xff, 0xfe, 0x00).buffer],
  ['that is nested deeply', () => '['.repeat(100_000)],
]

const plant = (key: string, value: Planted | ArrayBuffer) =>
  env.CACHE.put(key, typeof value === 'string' || value instanceof ArrayBuffer ? value : JSON.stringify(value))

/** Reads a key, so that both entries are in KV and fresh; gives them. */
async function warm(it: { id: string; token: string; keyId: string }) {
  const now = Date.now()
  expectStatus(await newBroker().call('GET', keysPath(it.id, it.keyId), it.token), 200)
  const at = { key: turnKeyEntryKey(it.id, it.keyId), snapshot: snapshotKey(it.id) }
  // What a test planted may stand there still.
  const read = async (key: string) =>
    (await env.CACHE.get<{ confirmedAt: number }>(key, 'json').catch(() => null)) ?? { confirmedAt: 0 }
  await until('KV was written', async () =>
    (await Promise.all([read(at.key), read(at.snapshot)])).every(({ confirmedAt }) => confirmedAt >= now),
  )
  return { at, key: TurnKeyEntry.parse(await read(at.key)), snapshot: TenantSnapshot.parse(await read(at.snapshot)) }
}

const isFromEdge = (answer: Answer) => answer.headers.get('cache-status')?.startsWith('edge; hit') ?? false

async function poisoned() {
  const broker = newBroker()
  const acme = await furnish(broker, 'acme')
  passTime(2 * MINUTE_MS)
  const get = (keyId = acme.keyId) => newBroker().call('GET', keysPath('acme', keyId), acme.token)
  const { at, key, snapshot } = await warm(acme)
  const lie = { ...key, key: { ...key.key, name: 'a lie' } }

  // The control: KV is read at all, and a lie in the right format is believed for a minute.
  await plant(at.key, lie)
  const fooled = await get()
  expect(isFromEdge(fooled), shown(fooled)).toBe(true)
  expect(fooled.json.result.name).toBe('a lie')
  return { broker, acme, get, at, key, snapshot, lie }
}

describe('G3: cache entries', () => {
  it('G3: Cache entries of a TURN key are a miss when anything about them is wrong', async () => {
    const { acme, get, at, lie } = await poisoned()
    const wrong: string[] = []
    for (const [what, spoil] of [
      ...NOT_BELIEVED,
      ['about another key', (entry) => ({ ...entry, uid: 'k'.repeat(32) })],
      ["with another key's metadata", (entry) => ({ ...entry, key: { ...lie.key, uid: 'k'.repeat(32) } })],
      ['in a state there is not', (entry) => ({ ...entry, key: { ...lie.key, state: 'deleted' } })],
      ['that says the key is gone', (entry) => ({ ...entry, key: null })],
    ] satisfies typeof NOT_BELIEVED) {
      passTime(2 * MINUTE_MS)
      await warm(acme)
      await plant(at.key, spoil({ ...lie, confirmedAt: Date.now() }))
      const answer = await get()
      if (isFromEdge(answer) || answer.json?.result?.name !== 'first') wrong.push(`an entry ${what}: ${shown(answer)}`)
    }
    expect(wrong).toEqual([])
  })

  it('G3: Cache entries of a tenant are a miss when anything about them is wrong', async () => {
    const { acme, get, at, lie, snapshot } = await poisoned()
    const others = { ...snapshot.tokens[0], id: 'another-id00' }
    const wrong: string[] = []
    for (const [what, spoil] of [
      ...NOT_BELIEVED,
      ['of a tenant that is being deleted', (entry) => ({ ...entry, status: 'deleting' })],
      ['of a status there is not', (entry) => ({ ...entry, status: 'open' })],
      ['without tokens', (entry) => ({ ...entry, tokens: [] })],
      ['with the digest under another id', (entry) => ({ ...entry, tokens: [others] })],
      ['without the scope', (entry) => ({ ...entry, tokens: [{ ...snapshot.tokens[0], scopes: ['usage:read'] }] })],
      ['with a scope there is not', (entry) => ({ ...entry, tokens: [{ ...snapshot.tokens[0], scopes: ['*'] }] })],
    ] satisfies typeof NOT_BELIEVED) {
      passTime(2 * MINUTE_MS)
      await warm(acme)
      await plant(at.key, { ...lie, confirmedAt: Date.now() })
      await plant(at.snapshot, spoil({ ...snapshot, confirmedAt: Date.now() }))
      const answer = await get()
      if (isFromEdge(answer) || answer.json?.result?.name !== 'first')
        wrong.push(`a snapshot ${what}: ${shown(answer)}`)
    }
    expect(wrong).toEqual([])
  })

  it("G3: Cache entries of another tenant's key answer no other tenant, under any key of KV", async () => {
    const { broker, acme, get } = await poisoned()
    const other = await furnish(broker, 'other')
    const { key } = await warm(other)
    for (const at of [turnKeyEntryKey('acme', other.keyId), turnKeyEntryKey('acme', acme.keyId)]) await plant(at, key)
    const foreign = await get(other.keyId)
    expect(outcomeOf(foreign), shown(foreign)).toBe('404 20008')
    const own = await get()
    expect(own.json.result, shown(own)).toMatchObject({ uid: acme.keyId, name: 'first' })
  })

  it('G3: Cache entries of a tenant give no right to write, and no right to a token that was never given out', async () => {
    const { broker, at, snapshot, acme } = await poisoned()
    const reader = await newToken(broker, 'acme', ['turn_keys:read'])
    const row = (await warm(acme)).snapshot.tokens.find(({ id }) => id === reader.tokenId)
    await plant(at.snapshot, { ...snapshot, tokens: [{ ...row, scopes: ['turn_keys:read', 'turn_keys:write'] }] })
    for (const [method, path] of [
      ['POST', keysPath('acme')],
      ['PUT', keysPath('acme', acme.keyId)],
      ['DELETE', keysPath('acme', acme.keyId)],
    ] as const) {
      const answer = await broker.call(method, path, reader.token, method === 'DELETE' ? undefined : { name: 'x' })
      expect(outcomeOf(answer), `${method} ${shown(answer)}`).toBe('403 10000')
    }
    const stranger = await leakedCheckToken('acme', reader.tokenId)
    const forged = await newBroker().call('GET', keysPath('acme', acme.keyId), stranger)
    expect(outcomeOf(forged), shown(forged)).toBe('401 10000')
  })

  it('G3: Cache entries are not needed: KV that fails is a miss', async () => {
    const setUp = newBroker()
    const acme = await furnish(setUp, 'acme')
    const broken = { get: () => Promise.reject(new Error('KV is down')), put: () => Promise.reject(new Error('down')) }
    const answer = await newBroker({ CACHE: broken }).call('GET', keysPath('acme', acme.keyId), acme.token)
    expect(answer.json?.result?.name, shown(answer)).toBe('first')
  })
})
