/** Key sets of tenants' providers: how often they are asked for, what is taken from them, and for how long. */

import { describe, expect, it } from 'vitest'
import { countedObjects, staleCache } from '../support/broker/bindings.ts'
import { expectStatus, newBroker } from '../support/broker/broker.ts'
import { HOUR_MS, MINUTE_MS, passTime, SECOND_MS } from '../support/broker/clock.ts'
import { askIceServers, expectProblem, served } from '../support/broker/doors.ts'
import { countAsked } from '../support/broker/upstream.ts'
import { asText, encode } from '../support/secrets/forger.ts'
import { issuerAt, jwtOf, type Key, newKey, newTrust, playedProvider } from '../support/secrets/idp.ts'
import { tally } from '../support/tenants/issuing.ts'

const COOL_DOWN_MS = 31 * SECOND_MS

async function trusted() {
  const it = await newTrust()
  const ask = async (key: Key = it.key, sub = 'alice') => askIceServers(it.broker, 'acme', await jwtOf(key, { sub }))
  const asked = async () => (await it.provider.asked()).length
  return { ...it, ask, asked }
}

describe('tokens', () => {
  it.each([
    ['acme', 'of a tenant whose snapshot is old cost one call of its object', '201', 1 + 64],
    ['nobody', 'for a tenant that is not there cost one call of the Account', '401 invalid_token', 1],
  ])('Tokens for %s: 64 tokens at the same time %s', async (tenant, _, outcome, calls) => {
    const { key } = await trusted()
    const { reached, ...objects } = countedObjects()
    const edge = newBroker({ ...objects, CACHE: await staleCache() })
    const tokens = await Promise.all(Array.from({ length: 64 }, () => jwtOf(key, { sub: 'alice' })))
    const answers = await Promise.all(tokens.map((token) => askIceServers(edge, tenant, token)))
    expect(tally(answers)).toEqual({ [outcome]: 64 })
    // Each mint is a call of its own.
    expect(reached.count).toBe(calls)
  })

  it('Tokens of a tenant asked for in vain are good 5 s after it is there at the latest', async () => {
    const broker = newBroker()
    const key = await newKey('a')
    expectProblem(await askIceServers(broker, 'acme', await jwtOf(key)), 'invalid_token')
    await served(broker, 'acme', { policy: { issuers: [issuerAt({ keys: [key] })] } })
    passTime(6 * SECOND_MS)
    expectStatus(await askIceServers(broker, 'acme', await jwtOf(key)), 201)
  })
})

describe('a key set', () => {
  it('A key set is asked for at most once in a cool-down, however many tokens name keys that are not in it', async () => {
    const { broker, key, ask, asked } = await trusted()
    const [, ...rest] = (await jwtOf(key)).split('.')
    const unknown = (at: number) => [encode(asText({ alg: 'ES256', kid: `unknown-${at}` })), ...rest].join('.')
    const flood = async (from: number, to: number) => {
      for (let at = from; at < to; at += 50) {
        const tokens = Array.from({ length: 50 }, (_, more) => unknown(at + more))
        const answers = await Promise.all(tokens.map((token) => askIceServers(broker, 'acme', token)))
        expect(tally(answers)).toEqual({ '401 invalid_token': 50 })
      }
    }
    await flood(0, 500)
    expect(await asked()).toBe(1)
    expectStatus(await ask(), 201)
    passTime(COOL_DOWN_MS)
    await flood(500, 1_000)
    expectStatus(await ask(), 201)
    expect(await asked(), '1,000 tokens, and one cool-down between').toBe(2)
  })

  it('A key set is asked for once by 64 first tokens at the same time, and they all wait for it', async () => {
    const { key, provider, ask, asked } = await trusted()
    await provider.answers({ body: JSON.stringify({ keys: [key.jwk] }), afterMs: 200 })
    const answers = await Promise.all(Array.from({ length: 64 }, () => ask()))
    expect(tally(answers)).toEqual({ '201': 64 })
    expect(await asked()).toBe(1)
    expect(await countAsked('generate-ice-servers')).toBe(1)
  })

  it('A key set is remembered for ten minutes, then asked for again', async () => {
    const { ask, asked } = await trusted()
    for (const minutes of [0, 5, 4]) {
      passTime(minutes * MINUTE_MS)
      expectStatus(await ask(), 201)
      expect(await asked()).toBe(1)
    }
    passTime(2 * MINUTE_MS)
    expectStatus(await ask(), 201)
    expect(await asked()).toBe(2)
  })

  it('A key set may change: a new key is good after the cool-down, one that was taken out is none any more', async () => {
    const { key: old, provider, ask, asked } = await trusted()
    const fresh = await newKey('fresh')
    expectStatus(await ask(old), 201)
    await provider.serves(fresh.jwk)
    expectStatus(await ask(fresh), 401)
    expectStatus(await ask(old), 201)
    expect(await asked()).toBe(1)
    passTime(COOL_DOWN_MS)
    expectStatus(await ask(fresh), 201)
    expectStatus(await ask(old), 401)
    expect(await asked()).toBe(2)
    // Another key under the old name: it is the old key that is gone.
    passTime(COOL_DOWN_MS)
    const renamed = { ...(await newKey('x')), kid: 'fresh' }
    await provider.serves({ ...renamed.jwk, kid: 'fresh' })
    passTime(11 * MINUTE_MS)
    expectStatus(await ask(fresh), 401)
    expectStatus(await ask(renamed), 201)
  })

  it('A key set that is out of reach keeps its users for an hour, no longer, and is back after the cool-down', async () => {
    const { key, provider, ask, asked } = await trusted()
    expectStatus(await ask(), 201)
    await provider.answers({ instead: 'reset' })
    for (const minutes of [11, 20, 28]) {
      passTime(minutes * MINUTE_MS)
      expectStatus(await ask(), 201)
    }
    expect(await asked()).toBeGreaterThan(1)
    passTime(2 * MINUTE_MS)
    expectStatus(await ask(), 401)
    await provider.serves(key.jwk)
    expectStatus(await ask(), 401)
    passTime(COOL_DOWN_MS)
    expectStatus(await ask(), 201)
    passTime(24 * HOUR_MS)
    expectStatus(await ask(), 201)
  })

  it('A key set of fifty keys is taken, with others in it that are not understood', async () => {
    const { key, provider, ask } = await trusted()
    const odd = [null, 1, 'x', [], {}, { kty: 'AKP', pub: 'AAAA', kid: 'good' }, { kty: 'oct', k: 'AAAA', kid: 'good' }]
    await provider.serves(
      ...([...odd, ...Array.from({ length: 42 }, (_, at) => ({ kty: 'EC', kid: `${at}` })), key.jwk] as object[]),
    )
    expectStatus(await ask(), 201)
  })

  it('G10: A key set is asked for with a plain GET that carries nothing of the caller, and nothing of an earlier answer', async () => {
    const { broker, key, provider } = await trusted()
    const body = JSON.stringify({ keys: [key.jwk] })
    await provider.answers({
      body,
      headers: { 'set-cookie': 'id=1; Path=/', 'content-type': 'application/jwk-set+json' },
    })
    const headers = { cookie: 'session=1', 'x-forwarded-for': '203.0.113.9', referer: 'https://app.example/' }
    const token = await jwtOf(key)
    expectStatus(await askIceServers(broker, 'acme', token, { headers }), 201)
    passTime(11 * MINUTE_MS)
    expectStatus(await askIceServers(broker, 'acme', await jwtOf(key), { headers }), 201)
    const received = await provider.asked()
    expect(received).toHaveLength(2)
    for (const { method, headers } of received) {
      expect(method).toBe('GET')
      const { accept, 'user-agent': agent } = headers
      expect([accept, agent]).toEqual(['application/json', 'turn-broker'])
      expect(Object.keys(headers).filter((name) => /cookie|authorization|forwarded|referer|origin/.test(name))).toEqual(
        [],
      )
      expect(JSON.stringify(headers)).not.toContain(token.slice(-40))
    }
  })

  it('G10: A key set leads nowhere else: no redirect is followed', async () => {
    const broker = newBroker()
    const key = await newKey('good')
    const target = playedProvider()
    await target.serves(key.jwk)
    const redirects = [301, 302, 303, 307, 308].map((status) => ({ status, provider: playedProvider() }))
    for (const { status, provider } of redirects) {
      const body = JSON.stringify({ keys: [key.jwk] })
      await provider.answers({ status, body, headers: { location: target.jwksUrl } })
    }
    const issuers = redirects.map(({ status, provider }) => issuerAt(provider, { audience: String(status) }))
    await served(broker, 'acme', { policy: { issuers } })
    for (const { status, provider } of redirects) {
      await provider.forget()
      expectStatus(await askIceServers(broker, 'acme', await jwtOf(key, { aud: String(status) })), 401)
      expect(await provider.asked()).toHaveLength(1)
    }
    expect(await target.asked()).toEqual([])
  })
})
