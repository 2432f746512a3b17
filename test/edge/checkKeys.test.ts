/** The check keys of API tokens: copied sealed to KV, replaced by an operator, moved to a new root key; and the edge without any. */
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { CHECK_KEYS_KEY, CheckKeysEntry } from '../../src/cache/entries.ts'
import { newCheckKey, openCheckKey } from '../../src/crypto/checkKeys.ts'
import { brokenCache } from '../support/broker/bindings.ts'
import { type Broker, expectStatus, keysPath, newBroker } from '../support/broker/broker.ts'
import { HOUR_MS, MINUTE_MS, passTime, SECOND_MS, until } from '../support/broker/clock.ts'
import { outcomeOf } from '../support/broker/contract.ts'
import { deploy } from '../support/broker/deployment.ts'
import { allowing } from '../support/broker/doors.ts'
import { forgedToken, leakedCheckToken, storedCheckKeys } from '../support/secrets/apiTokens.ts'
import { K1, K2, ringOf } from '../support/storage/rings.ts'
import { everythingStored } from '../support/storage/storage.ts'
import { accountSql, accountStub, tenantSql } from '../support/storage/tenantRows.ts'
import { doorsOf, expectOutcome, newIssuer } from '../support/tenants/issuing.ts'

const IN_USE_AFTER_MS = 91 * SECOND_MS
const PATH = '/token-check'

const replace = async (broker: Broker) => {
  const answer = await broker.admin('POST', PATH)
  expectStatus(answer, 202)
  return answer.json.keys as { number: number; state: string; rootKey: string }[]
}
/** The Account writes its copy in the background: what is planted before would be overwritten. */
const plant = async (copy: unknown) => {
  await until('the copy is in KV', async () => (await env.CACHE.get(CHECK_KEYS_KEY)) !== null)
  await env.CACHE.put(CHECK_KEYS_KEY, typeof copy === 'string' ? copy : JSON.stringify(copy))
}
const copyInKv = async () => CheckKeysEntry.parse(await env.CACHE.get(CHECK_KEYS_KEY, 'json'))
/** A check key as this installation would seal it, and does not have it. */
const foreignCheckKeyCopy = () => newCheckKey(ringOf(K1), { number: 1, signsFrom: 0 })
const newToken = async (tenant = 'acme') => {
  const answer = await newBroker().admin('POST', `/tenants/${tenant}/api-tokens`, {
    name: 'n',
    scopes: ['turn_keys:read'],
  })
  expectStatus(answer, 201)
  return String(answer.json.token)
}
const read = (edge: Broker, token: string) => edge.call('GET', keysPath('acme'), token)
/** A limiter that lets this many of a key through, and all of any other. */
const allowingOf = (key: string, times: number): RateLimit => {
  const limiter = allowing(times)
  return { limit: (asked) => (asked.key === key ? limiter.limit(asked) : Promise.resolve({ success: true })) }
}
/** Whether a new isolate takes the token the fast way: it is let in with no room for any other. */
const isProven = async (token: string, broker: (bindings: object) => Broker = newBroker) =>
  (await read(broker({ RATE_UNPROVEN: allowing(0) }), token)).status === 200

describe('a check key that is replaced', () => {
  it('G18: A replaced check key takes the fast way from older API tokens, which stay valid at a small rate, until they are rolled', async () => {
    passTime(2 * MINUTE_MS)
    const acme = await newIssuer()
    const warm = newBroker({ RATE_UNPROVEN: allowing(0) })
    expectOutcome(await read(warm, acme.token), '200')
    expect(await replace(acme.broker)).toMatchObject([
      { number: 2, state: 'next' },
      { number: 1, state: 'current' },
    ])
    // Until each edge has the new key, tokens are made with the one before.
    const between = await newToken()
    expect([await isProven(acme.token), await isProven(between)]).toEqual([true, true])
    passTime(IN_USE_AFTER_MS)
    const made = await newToken()
    // An isolate that had only the first key at the time looks again.
    expectOutcome(await read(warm, made), '200')
    expect([await isProven(made), await isProven(between), await isProven(acme.token)]).toEqual([true, false, false])
    expectOutcome(await read(newBroker({ RATE_UNPROVEN: allowing(0) }), acme.token), '429 31018')
    expectOutcome(await read(newBroker(), acme.token), '200')
    const roll = await acme.broker.admin('POST', `/tenants/acme/api-tokens/${acme.tokenId}/roll`, {})
    expect(await isProven(String(roll.json.token))).toBe(true)
    expect((await acme.broker.admin('GET', PATH)).json.keys).toMatchObject([
      { number: 2, state: 'current', rootKey: 'k1' },
      { number: 1, state: 'older', rootKey: 'k1' },
    ])
  })

  it('A replaced check key of old lets its holder ask the tenants it names at the small rate only', async () => {
    const acme = await newIssuer()
    const forged = await Promise.all(Array.from({ length: 30 }, () => leakedCheckToken('acme')))
    await replace(acme.broker)
    passTime(IN_USE_AFTER_MS)
    const edge = newBroker({ RATE_UNPROVEN: allowing(10) })
    const answers = await Promise.all(forged.map((token) => read(edge, token)))
    expect(answers.filter(({ status }) => status === 401)).toHaveLength(10)
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(20)
  })

  it('A check key is replaced once, however often that is ordered within a minute and a half, and each replacement is on the audit trail', async () => {
    const { broker } = await newIssuer()
    for (let n = 0; n < 3; n++) expect(await replace(broker)).toHaveLength(2)
    await Promise.all([replace(broker), replace(broker)])
    passTime(IN_USE_AFTER_MS)
    await Promise.all([replace(broker), replace(broker)])
    expect(await storedCheckKeys()).toHaveLength(3)
    const trail = await broker.admin('GET', '/audit-events?action=token_check.replace')
    expect(trail.json.items.map(({ target, actor }: Record<string, string>) => [target, actor])).toEqual([
      ['3', 'admin:token'],
      ['2', 'admin:token'],
    ])
  })

  it('Eight check keys are kept: an API token made with an earlier one is refused', async () => {
    const acme = await newIssuer()
    await replace(acme.broker)
    passTime(IN_USE_AFTER_MS)
    const second = await newToken()
    for (let n = 0; n < 7; n++) {
      await replace(acme.broker)
      passTime(IN_USE_AFTER_MS)
    }
    expect((await storedCheckKeys()).map(({ number }) => number)).toEqual([9, 8, 7, 6, 5, 4, 3, 2])
    expect((await copyInKv()).keys).toHaveLength(8)
    expectOutcome(await read(newBroker(), second), '200')
    expectOutcome(await read(newBroker(), acme.token), '401 10000')
  })

  it('G17: A check key is replaced also while KV takes no copy, and the copy follows', async () => {
    const acme = await newIssuer()
    await read(newBroker(), acme.token)
    const CACHE = { ...brokenCache(), put: () => Promise.reject(new Error('KV is out of reach')) }
    const broken = deploy({ CACHE })
    expect(await replace(broken)).toHaveLength(2)
    passTime(IN_USE_AFTER_MS)
    await broken.runAccount()
    expect((await copyInKv()).keys).toHaveLength(1)
    const made = await newToken()
    expect(await isProven(made)).toBe(true)
    passTime(MINUTE_MS)
    await deploy({}).runAccount()
    expect((await copyInKv()).keys).toHaveLength(2)
    expect([await isProven(made), await isProven(acme.token)]).toEqual([true, false])
  })

  it('G17: No API token is refused because of what KV says of the check keys', async () => {
    const acme = await newIssuer()
    const stranger = await foreignCheckKeyCopy()
    await plant({ v: 2, keys: [stranger] })
    expect(await isProven(acme.token)).toBe(true)
  })
})

describe('a check key and the root keys', () => {
  it('G12: A reseal carries the check key along: API tokens are proven with the new root key alone, and the old one is needed no more', async () => {
    passTime(2 * MINUTE_MS)
    const acme = await newIssuer()
    const next = deploy({ ROOT_KEYS: `${K2},${K1}` })
    const uses = async () => {
      const { rootKeys } = (await next.admin('GET', '/reseal')).json
      return rootKeys.map(({ id, tokenCheck }: { id: string; tokenCheck: boolean }) => [id, tokenCheck])
    }
    expect(await uses()).toEqual([
      ['k2', false],
      ['k1', true],
    ])
    passTime(2 * HOUR_MS)
    await accountSql('DELETE FROM root_key_uses')
    expectStatus(await newBroker({ ROOT_KEYS: K2 }).send('/readyz'), 503)
    expectStatus(await next.admin('POST', '/reseal'), 202)
    expect(await uses()).toEqual([
      ['k2', true],
      ['k1', false],
    ])
    for (let runs = 0; runs < 4; runs++) {
      await next.runAccount()
      passTime(1)
    }
    const last = deploy({ ROOT_KEYS: K2 })
    expectStatus(await newBroker({ ROOT_KEYS: K2 }).send('/readyz'), 200)
    const edge = newBroker({ ROOT_KEYS: K2, RATE_UNPROVEN: allowing(0) })
    expectOutcome(await read(edge, acme.token), '200')
    expectOutcome(await read(edge, await forgedToken('acme', acme.tokenId)), '401 10000')
    expectOutcome(await last.admin('POST', `/tenants/acme/api-tokens/${acme.tokenId}/roll`, {}), '200')
    expect(await storedCheckKeys()).toMatchObject([{ number: 1, version: 2 }])
  })

  it('A root key that leaked opens no check key any more after the reseal and the replacement that the runbook orders', async () => {
    passTime(2 * MINUTE_MS)
    const acme = await newIssuer()
    // What somebody with the root key and a copy of KV has.
    const [stolen] = await storedCheckKeys()
    expect(stolen && (await openCheckKey(ringOf(K1), stolen))).toBeDefined()
    const next = deploy({ ROOT_KEYS: `${K2},${K1}` })
    expectStatus(await next.admin('POST', '/reseal'), 202)
    await replace(next)
    passTime(IN_USE_AFTER_MS)
    for (let runs = 0; runs < 4; runs++) {
      await next.runAccount()
      passTime(1)
    }
    for (const key of [...(await copyInKv()).keys, ...(await storedCheckKeys())])
      expect(await openCheckKey(ringOf(K1), key)).toBeUndefined()
    const stored = await everythingStored()
    expect(stored).not.toContain(String(stolen?.sealed))
    // A token of the thief is one of many at the small rate, and no tenant's.
    expectOutcome(await read(newBroker({ ROOT_KEYS: K2, RATE_UNPROVEN: allowing(0) }), acme.token), '429 31018')
  })

  it('An API token is neither made nor rolled while no root key opens the check key, and the error says why', async () => {
    const acme = await newIssuer()
    const lost = deploy({ ROOT_KEYS: K2 })
    const body = { name: 'n', scopes: ['turn_keys:read'] }
    const answer = await lost.admin('POST', '/tenants/acme/api-tokens', body)
    expectOutcome(answer, '500 misconfigured')
    expect(answer.json.detail).toContain('ROOT_KEYS: no root key opens the check key of API tokens')
    expectOutcome(await lost.admin('POST', `/tenants/acme/api-tokens/${acme.tokenId}/roll`, {}), '500 misconfigured')
    // An operator helps: the new key is sealed with a root key that is there.
    await replace(lost)
    passTime(IN_USE_AFTER_MS)
    expectOutcome(await lost.admin('POST', '/tenants/acme/api-tokens', body), '201')
  })
})

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
