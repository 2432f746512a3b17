/** Rightly signed JWTs of a tenant's provider that say something else than the tenant's policy asks for. */

import { describe, expect, it } from 'vitest'
import { expectStatus } from '../support/broker/broker.ts'
import { askIceServers, served } from '../support/broker/doors.ts'
import { asText, type Rows } from '../support/secrets/forger.ts'
import {
  AUDIENCE,
  ISSUER,
  issuerAt,
  jwtOf,
  newKey,
  newTrust,
  notAccepted,
  notRefused,
  playedProvider,
  rightClaims,
  signed,
} from '../support/secrets/idp.ts'

/** Printable wherever it is cut. */
const named = (value: unknown): string => `${asText(value)}`.replace(/[^ -~]/gu, '?').slice(0, 140)

const REQUIRED = { subjectClaim: 'uid', requiredClaims: { role: 'caller', level: 3, verified: true } }

describe("a JWT of a tenant's user", () => {
  it("A JWT of a tenant's user of another issuer, audience or tenant is refused", async () => {
    const { broker, key } = await newTrust()
    const globexIdp = playedProvider()
    const globexKey = await newKey('globex')
    await globexIdp.serves(globexKey.jwk)
    await served(broker, 'globex', { policy: { issuers: [issuerAt(globexIdp, { audience: 'globex' })] } })
    const rows: Rows = {
      "another tenant's user": await jwtOf(globexKey, { aud: 'globex' }),
      "another tenant's user, with this audience": await jwtOf(globexKey),
      'issuer and audience in the prototype': await signed(
        key,
        `{"__proto__":${asText(rightClaims())},"sub":"alice","exp":${rightClaims().exp}}`,
        { alg: 'ES256', kid: 'good' },
      ),
    }
    for (const iss of [
      '',
      'https://login.example',
      `${ISSUER}/`,
      ISSUER.toUpperCase(),
      ` ${ISSUER}`,
      [ISSUER],
      null,
      1,
      undefined,
    ])
      rows[`iss ${asText(iss)}`] = await jwtOf(key, { iss })
    const crowd = Array.from({ length: 100 }, (_, at) => `aud-${at}`)
    const auds = [
      '',
      'CALLS',
      'calls ',
      'call',
      'calls2',
      ['other'],
      [],
      [[AUDIENCE]],
      [null],
      { calls: 1 },
      null,
      0,
      undefined,
    ]
    for (const aud of [...auds, [...crowd, AUDIENCE]])
      rows[`aud ${asText(aud)?.slice(0, 40)}`] = await jwtOf(key, { aud })
    expect(await notRefused(broker, rows)).toEqual([])
    const right: Rows = {
      'the audience in a list': await jwtOf(key, { aud: ['other', AUDIENCE] }),
      'more claims': await jwtOf(key, { scope: 'a b', azp: 'x', 'https://x': { y: [1] }, tenant: 'globex' }),
    }
    expect(await notAccepted(broker, right)).toEqual([])
    expectStatus(await askIceServers(broker, 'globex', await jwtOf(globexKey, { aud: 'globex' })), 201)
    expectStatus(await askIceServers(broker, 'globex', await jwtOf(key)), 401)
  })

  it("A JWT of a tenant's user outside its time, or without an end within a day, is refused", async () => {
    const { broker, key, now } = await newTrust()
    const times: Record<string, object> = {
      'no exp': { exp: undefined },
      'over, beyond the skew': { exp: now - 30 },
      'over for long': { iat: now - 9_000, exp: now - 3_600 },
      'at the epoch': { exp: 0 },
      'below it': { exp: -1 },
      '24 h and a second': { exp: now + 86_401 },
      '25 h': { exp: now + 90_000 },
      '25 h, long begun': { iat: now - 90_000, exp: now + 90_000 },
      'a year, in its last hour': { iat: now - 31_532_400, exp: now + 3_600 },
      '24 h and a second, in its last hour': { iat: now - 82_801, exp: now + 3_600 },
      milliseconds: { exp: (now + 600) * 1_000 },
      'issued in the future': { iat: now + 31 },
      'issued in a year': { iat: now + 31_536_000 },
      'not valid yet': { nbf: now + 31 },
      'valid in a year': { nbf: now + 31_536_000 },
    }
    const rows: Rows = {}
    for (const [name, change] of Object.entries(times)) rows[name] = await jwtOf(key, change)
    const odd = [1e30, 1e15, 253_402_300_800, String(now + 600), `${now + 600}x`, '', null, true, [now + 600], {}]
    for (const value of odd) rows[`exp ${asText(value)}`] = await jwtOf(key, { exp: value })
    for (const value of [-1, 1e30, String(now), null, true, [now], {}]) {
      rows[`iat ${asText(value)}`] = await jwtOf(key, { iat: value })
      rows[`nbf ${asText(value)}`] = await jwtOf(key, { nbf: value })
    }
    const infinite = asText(rightClaims()).replace(/"exp":\d+/, '"exp":1e999')
    rows['exp 1e999'] = await signed(key, infinite, { alg: 'ES256', kid: 'good' })
    expect(await notRefused(broker, rows)).toEqual([])
    const right: Rows = {
      'over within the skew': await jwtOf(key, { exp: now - 29 }),
      '24 h': await jwtOf(key, { iat: now, exp: now + 86_400 }),
      '24 h, in its last hour': await jwtOf(key, { iat: now - 82_800, exp: now + 3_600 }),
      'no iat, 24 h': await jwtOf(key, { iat: undefined, exp: now + 86_400 }),
      'no iat': await jwtOf(key, { iat: undefined }),
      'fractions of seconds': await jwtOf(key, { exp: now + 600.5, iat: now - 0.25, nbf: now + 29.75 }),
      'a clock 30 s ahead': await jwtOf(key, { iat: now + 30, nbf: now + 30 }),
    }
    expect(await notAccepted(broker, right)).toEqual([])
  })

  it("A JWT of a tenant's user without a subject as the broker takes one is refused", async () => {
    const { broker, key } = await newTrust()
    const rows: Rows = { 'sub in the prototype': '' }
    const subs = ['', 'x'.repeat(129), '🦊'.repeat(129), 'x'.repeat(5_000), 'a\0', 'a\nb', '\u007f', '\u0085', '\ud800']
    for (const sub of [...subs, 7, 0, true, null, ['alice'], { sub: 'alice' }, undefined])
      rows[`sub ${named(sub)}`] = await jwtOf(key, { sub })
    rows['sub in the prototype'] = await signed(
      key,
      asText(rightClaims()).replace('"sub":"alice"', '"__proto__":{"sub":"alice"}'),
      { alg: 'ES256', kid: 'good' },
    )
    expect(await notRefused(broker, rows)).toEqual([])
    const right: Rows = {}
    for (const sub of ['x', 'x'.repeat(128), '🦊'.repeat(128), 'auth0|1:2 ä', '__proto__', 'constructor'])
      right[`sub ${named(sub)}`] = await jwtOf(key, { sub })
    expect(await notAccepted(broker, right)).toEqual([])
  })

  it("A JWT of a tenant's user without the claims that the policy requires is refused", async () => {
    const { broker, key } = await newTrust(REQUIRED)
    const right = { uid: 'u-1', role: 'caller', level: 3, verified: true }
    const rows: Rows = {}
    for (const name of Object.keys(right)) {
      const { [name as keyof typeof right]: _, ...rest } = right // one of its own names
      rows[`no ${name}`] = await jwtOf(key, rest)
      rows[`${name} null`] = await jwtOf(key, { ...right, [name]: null })
      rows[`${name} in an object`] = await jwtOf(key, { ...right, [name]: { ...right } })
      const inPrototype = asText({ ...rightClaims(), ...rest, x: 1 }).replace('"x":1', `"__proto__":${asText(right)}`)
      rows[`${name} in the prototype`] = await signed(key, inPrototype, { alg: 'ES256', kid: 'good' })
    }
    for (const role of ['Caller', 'caller ', 'caller admin', '', true, ['admin'], [['caller']], []])
      rows[`role ${asText(role)}`] = await jwtOf(key, { ...right, role })
    for (const level of ['3', 4, 3.5, [4], true]) rows[`level ${asText(level)}`] = await jwtOf(key, { ...right, level })
    for (const verified of ['true', 1, false, ['true']])
      rows[`verified ${asText(verified)}`] = await jwtOf(key, { ...right, verified })
    rows['the subject in a list'] = await jwtOf(key, { ...right, uid: ['u-1'] })
    expect(await notRefused(broker, rows)).toEqual([])
    const good = {
      all: await jwtOf(key, right),
      'held in a list': await jwtOf(key, { ...right, role: ['admin', 'caller'] }),
    }
    expect(await notAccepted(broker, good)).toEqual([])
  })

  it("A JWT of a tenant's user without the nested claims that the policy requires is refused", async () => {
    const paths = [
      { path: ['realm_access', 'roles'], value: 'caller' },
      { path: ['https://acme.example', '__proto__'], value: 1 },
    ]
    const { broker, key } = await newTrust({ requiredClaimPaths: paths })
    const text = (access: unknown, more = '{"__proto__":1}') =>
      asText({ ...rightClaims(), realm_access: access, x: 1 }).replace('"x":1', `"https://acme.example":${more}`)
    const token = (payload: string) => signed(key, payload, { alg: 'ES256', kid: 'good' })
    const rows: Rows = { 'the name with dots': await jwtOf(key, { 'realm_access.roles': 'caller' }) }
    const wrong = [undefined, null, 'caller', ['caller'], [{ roles: 'caller' }], { roles: {} }, { roles: ['Caller'] }]
    for (const access of [...wrong, { roles: [['caller']] }, { roles: { caller: true } }])
      rows[asText(access)] = await token(text(access))
    for (const more of ['{}', '{"a":1}', '[1]', '{"__proto__":2}', 'null'])
      rows[`the other: ${more}`] = await token(text({ roles: 'caller' }, more))
    expect(await notRefused(broker, rows)).toEqual([])
    const good = { text: await token(text({ roles: 'caller' })), list: await token(text({ roles: ['a', 'caller'] })) }
    expect(await notAccepted(broker, good)).toEqual([])
  })

  it("A JWT of a tenant's user may live as long as its issuer's entry says, and no longer", async () => {
    const month = 2_764_800
    const { broker, key, now } = await newTrust({ maxLifetimeSeconds: month })
    const rows: Rows = {
      'a second more': await jwtOf(key, { iat: now, exp: now + month + 1 }),
      'a second more, in its last hour': await jwtOf(key, { iat: now - month + 3_599, exp: now + 3_600 }),
      'a second more, without iat': await jwtOf(key, { iat: undefined, exp: now + month + 1 }),
    }
    expect(await notRefused(broker, rows)).toEqual([])
    const good = {
      all: await jwtOf(key, { iat: now, exp: now + month }),
      'in its last hour': await jwtOf(key, { iat: now - month + 3_600, exp: now + 3_600 }),
    }
    expect(await notAccepted(broker, good)).toEqual([])
  })

  it("A JWT of a tenant's user that says a name twice is refused, in its header and in its claims", async () => {
    const { broker, key } = await newTrust()
    const header = { alg: 'ES256', kid: 'good' }
    const twice = (object: object, more: string) => asText(object).replace('{', `{${more},`)
    const rows: Rows = {
      'the subject': await signed(key, twice(rightClaims(), '"sub":"mallory"'), header),
      'the subject, escaped': await signed(key, twice(rightClaims(), '"s\\u0075b":"mallory"'), header),
      'a nested name': await signed(key, twice(rightClaims(), '"a":{"b":1,"b":2}'), header),
      'the algorithm': await signed(key, rightClaims(), twice(header, '"alg":"none"')),
    }
    expect(await notRefused(broker, rows)).toEqual([])
    expect(await notAccepted(broker, { once: await signed(key, twice(rightClaims(), '"a":{"b":1}'), header) })).toEqual(
      [],
    )
  })
})
