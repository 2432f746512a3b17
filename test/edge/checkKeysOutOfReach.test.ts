/** An edge that cannot have the check keys: the unproven way goes on, at a small rate. */
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { brokenCache } from '../support/broker/bindings.ts'
import { newBroker } from '../support/broker/broker.ts'
import { HOUR_MS, MINUTE_MS, passTime } from '../support/broker/clock.ts'
import { outcomeOf } from '../support/broker/contract.ts'
import { allowing } from '../support/broker/doors.ts'
import { forgedToken } from '../support/secrets/apiTokens.ts'
import {
  allowingOf,
  copyInKv,
  IN_USE_AFTER_MS,
  isProven,
  newToken,
  plant,
  read,
  replace,
} from '../support/secrets/checkKeys.ts'
import { accountSql, accountStub, tenantSql } from '../support/storage/tenantRows.ts'
import { doorsOf, expectOutcome, newIssuer } from '../support/tenants/issuing.ts'

describe('an edge that cannot have the check keys', () => {
  const ACCOUNT_DOWN = {
    idFromName: (name: string) => name,
    get: () => new Proxy({}, { get: () => () => Promise.reject(new Error('out of reach')) }),
  }

  it('G14: With KV and the Account out of reach a new isolate mints, at the small rate, and an isolate that has the check keys at the full one', async () => {
    const acme = await newIssuer()
    const switchable = { kv: false }
    const CACHE = {
      get: (key: string, options: KVNamespaceGetOptions<'json'>) =>
        switchable.kv ? env.CACHE.get(key, options) : Promise.reject(new Error('KV is out of reach')),
    }
    const down = { CACHE, ACCOUNT: ACCOUNT_DOWN }
    const cold = doorsOf(newBroker({ ...down, RATE_UNPROVEN: allowingOf('tenant:acme', 3) }), acme)
    const minted = await Promise.all(Array.from({ length: 5 }, () => cold.generate()))
    expect(minted.map(({ status }) => status).sort()).toEqual([201, 201, 201, 429, 429])

    // KV has the copy as soon as one edge has missed it.
    await read(newBroker(), acme.token)
    switchable.kv = true
    const warm = newBroker({ ...down, RATE_UNPROVEN: allowing(0) })
    expectOutcome(await doorsOf(warm, acme).generate(), '201')
    switchable.kv = false
    passTime(HOUR_MS)
    expectOutcome(await doorsOf(warm, acme).generate(), '201')
  })

  it('G14: With KV and the Account out of reach a forged API token is refused by the tenant, and one of a tenant that never was stores nothing', async () => {
    const acme = await newIssuer()
    const edge = newBroker({ CACHE: brokenCache(), ACCOUNT: ACCOUNT_DOWN })
    expectOutcome(
      await doorsOf(edge, { ...acme, token: await forgedToken('acme', acme.tokenId) }).generate(),
      '401 10000',
    )
    const neverWas = doorsOf(edge, { ...acme, token: await forgedToken('never-was') })
    expectOutcome(await neverWas.generate(), '401 10000')
    expect(await tenantSql('never-was', "SELECT name FROM sqlite_master WHERE name NOT LIKE '_cf_%'")).toEqual([])
  })

  it.each([
    ['is junk', '{'],
    ['is of another format', JSON.stringify({ v: 1, keys: [] })],
    ['has no key', JSON.stringify({ v: 2, keys: [] })],
    [
      'has a key that does not open',
      JSON.stringify({ v: 2, keys: [{ number: 1, signsFrom: 0, sealed: '1.k1.AAAA', version: 1 }] }),
    ],
  ])('A copy of the check keys in KV that %s is a miss', async (_what, copy) => {
    const acme = await newIssuer()
    await plant(copy)
    expect(await isProven(acme.token)).toBe(true)
    expect(outcomeOf(await read(newBroker(), await forgedToken('acme', acme.tokenId)))).toBe('401 10000')
  })

  it('An edge that remembers the check keys does not fall back to an older copy in KV', async () => {
    const acme = await newIssuer()
    await read(newBroker(), acme.token)
    const old = await copyInKv()
    await replace(acme.broker)
    passTime(IN_USE_AFTER_MS)
    const made = await newToken()
    const edge = newBroker({ RATE_UNPROVEN: allowing(0) })
    expectOutcome(await read(edge, made), '200')
    await plant(old)
    passTime(2 * MINUTE_MS)
    // The first request looks the keys up in the background.
    expectOutcome(await read(edge, made), '200')
    expectOutcome(await read(edge, acme.token), '429 31018')
  })

  it('The Account makes one check key, however many ask at once', async () => {
    const asked = await Promise.all(Array.from({ length: 20 }, () => accountStub().checkKeysForEdge()))
    expect(new Set(asked.map((answer) => JSON.stringify(answer))).size).toBe(1)
    expect(await accountSql('SELECT number FROM check_keys')).toEqual([{ number: 1 }])
  })
})
