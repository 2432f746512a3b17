import { describe, expect, it } from 'vitest'
import { openCheckKey } from '../../src/crypto/checkKeys.ts'
import { brokenCache } from '../support/broker/bindings.ts'
import { expectStatus, newBroker } from '../support/broker/broker.ts'
import { HOUR_MS, MINUTE_MS, passTime } from '../support/broker/clock.ts'
import { deploy } from '../support/broker/deployment.ts'
import { allowing } from '../support/broker/doors.ts'
import { forgedToken, leakedCheckToken, storedCheckKeys } from '../support/secrets/apiTokens.ts'
import {
  copyInKv,
  foreignCheckKeyCopy,
  IN_USE_AFTER_MS,
  isProven,
  newToken,
  PATH,
  plant,
  read,
  replace,
} from '../support/secrets/checkKeys.ts'
import { K1, K2, ringOf } from '../support/storage/rings.ts'
import { everythingStored } from '../support/storage/storage.ts'
import { accountSql } from '../support/storage/tenantRows.ts'
import { expectOutcome, newIssuer } from '../support/tenants/issuing.ts'

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
