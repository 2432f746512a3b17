/** Forged client tokens, most of them signed with the very key: every one gets the same 401, and reaches nothing. */
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { base64url } from '../../src/crypto/encoding.ts'
import { expectStatus, newBroker } from '../support/broker/broker.ts'
import { askIceServers } from '../support/broker/doors.ts'
import {
  AUDIENCE,
  asText,
  encode,
  HEADER,
  ISSUER,
  newForger,
  notRefused,
  type Rows,
  ringOf,
  sign,
  utf8,
} from '../support/secrets/forger.ts'

const SECRET_2 = btoa('another root key of 32 bytes....')

describe('a client token', () => {
  it('A client token made as the broker makes it is good, up to its bounds: the forger of these tests knows the trade', async () => {
    const { broker, now, claims } = await newForger()
    const good: Rows = {
      plain: await sign(claims()),
      'blanks in its JSON': await sign(`${JSON.stringify(claims())}${' '.repeat(5_000)}`),
      'the longest life': await sign(claims({ exp: now + 3_600 })),
      'its last second': await sign(claims({ iat: now - 599, exp: now + 1 })),
      'a clock 5 s ahead': await sign(claims({ iat: now + 5 })),
      'the longest subject': await sign(claims({ sub: '🦊'.repeat(128) })),
      'an operator behind it': await sign(claims({ ati: 'operator' })),
      'a ttl': await sign(claims({ cttl: 60 })),
    }
    for (const [name, token] of Object.entries(good)) {
      const answer = await askIceServers(broker, 'acme', token)
      expect(answer.status, `${name}: ${answer.text}`).toBe(201)
    }
    // A second root key: what it signs is good where it is in the ring, and under its own name only.
    const ring = ringOf(`k2:${SECRET_2}`)
    const two = newBroker({ ROOT_KEYS: `${env.ROOT_KEYS},k2:${SECRET_2}` })
    const named = await sign(claims(), { ...HEADER, kid: 'k2' }, { ring })
    expectStatus(await askIceServers(two, 'acme', named), 201)
    expectStatus(await askIceServers(broker, 'acme', named), 401)
    expectStatus(await askIceServers(two, 'acme', await sign(claims(), HEADER, { ring })), 401)
    expectStatus(await askIceServers(two, 'acme', await sign(claims(), { ...HEADER, kid: 'k2' })), 401)
  })

  it('A client token with another algorithm is refused', async () => {
    const { claims } = await newForger()
    const RS256 = {
      name: 'RSASSA-PKCS1-v1_5',
      modulusLength: 2_048,
      publicExponent: Uint8Array.of(1, 0, 1),
      hash: 'SHA-256',
    }
    const pair = (await crypto.subtle.generateKey(RS256, true, ['sign', 'verify'])) as CryptoKeyPair // this algorithm makes pairs
    const text = (alg: string) => `${encode(asText({ ...HEADER, alg }))}.${encode(asText(claims()))}`
    const rsa = await crypto.subtle.sign(RS256.name, pair.privateKey, utf8(text('RS256')))
    const rows: Rows = {
      'RS256, signed': `${text('RS256')}.${base64url(new Uint8Array(rsa))}`,
      'none, unsigned': `${text('none')}.`,
      'HS256, unsigned': `${text('HS256')}.`,
    }
    const names = [
      'none',
      'None',
      'NONE',
      'hs256',
      'HS384',
      'HS512',
      'RS256',
      'ES256',
      'EdDSA',
      'dir',
      '',
      null,
      0,
      ['HS256'],
    ]
    for (const alg of names) rows[`${JSON.stringify(alg)} over HS256`] = await sign(claims(), { ...HEADER, alg })
    for (const hash of ['SHA-384', 'SHA-512', 'SHA-1']) {
      for (const alg of ['HS256', `HS${hash.slice(4)}`])
        rows[`${alg} by ${hash}`] = await sign(claims(), { ...HEADER, alg }, { hash })
    }
    expect(await notRefused(rows)).toEqual([])
  })

  it('A client token with another header is refused', async () => {
    const { claims } = await newForger()
    const rows: Rows = {}
    const extras = {
      jku: 'https://evil.example/jwks',
      x5u: 'https://evil.example/x',
      jwk: { kty: 'oct', k: 'AAAA' },
      crit: ['exp'],
      b64: true,
      cty: 'JWT',
      zip: 'DEF',
      x5c: [],
      enc: 'A128GCM',
      iss: ISSUER,
      '': 0,
    }
    for (const [name, value] of Object.entries(extras))
      rows[`also ${name}`] = await sign(claims(), { ...HEADER, [name]: value })
    rows['b64 false, and critical'] = await sign(claims(), { ...HEADER, b64: false, crit: ['b64'] })
    for (const typ of ['JWT', 'jwt', 'CLIENT+JWT', 'application/client+jwt', 'at+jwt', '', null, 1, undefined])
      rows[`typ ${typ}`] = await sign(claims(), { ...HEADER, typ })
    const kids = [
      'k2',
      '',
      ' k1',
      'k1 ',
      'K1',
      '../k1',
      '__proto__',
      'constructor',
      'get',
      'x'.repeat(17),
      1,
      null,
      ['k1'],
      undefined,
    ]
    for (const kid of kids) rows[`kid ${kid}`] = await sign(claims(), { ...HEADER, kid })
    for (const header of ['null', '[]', '"k1"', '1', '', '{', 'not json', `\uFEFF${asText(HEADER)}`])
      rows[`the header ${header}`] = await sign(claims(), header)
    const noUtf8 = Uint8Array.from([...utf8(asText(HEADER).slice(0, -1)), 0x2c, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])
    rows['a header that is no UTF-8'] = await sign('', '', {
      encoded: `${base64url(noUtf8)}.${encode(asText(claims()))}`,
    })
    expect(await notRefused(rows)).toEqual([])
  })

  it('A client token of another issuer, audience, tenant or time is refused', async () => {
    const { now, claims, without } = await newForger()
    const rows: Rows = {
      "another tenant's key": await sign(claims(), HEADER, { tenant: 'globex' }),
      'another root key': await sign(claims(), HEADER, { ring: ringOf(`k1:${SECRET_2}`) }),
      'another deployment': await sign(claims({ iss: 'turn-broker:prod1', aud: 'turn-broker:prod1/acme' })),
    }
    const auds = [
      `${ISSUER}/globex`,
      `${ISSUER}/acme2`,
      `${ISSUER}/`,
      ISSUER,
      'acme',
      '',
      [AUDIENCE],
      [AUDIENCE, 'x'],
      [],
      null,
      1,
      {},
    ]
    for (const aud of auds) rows[`aud ${JSON.stringify(aud)}`] = await sign(claims({ aud }))
    for (const iss of ['turn-broker:', 'turn-broker:TEST', `${ISSUER}2`, '', [ISSUER], null, 1])
      rows[`iss ${JSON.stringify(iss)}`] = await sign(claims({ iss }))
    const times = {
      'expired by 1 s': { exp: now - 1 },
      'expired this second': { exp: now },
      'expired by an hour': { iat: now - 3_700, exp: now - 3_600 },
      'from the future': { iat: now + 6 },
      'from the future altogether': { iat: now + 3_600, exp: now + 7_200 },
      'an hour and a second': { exp: now + 3_601 },
      'an hour and a second, half over': { iat: now - 1_800, exp: now + 1_801 },
      'over before it begins': { iat: now + 5, exp: now + 4 },
      'no life': { iat: now + 5, exp: now + 5 },
      'not before a minute': { nbf: now + 60 },
      'not before now': { nbf: now },
      'nbf as text': { nbf: String(now) },
    }
    for (const [name, change] of Object.entries(times)) rows[name] = await sign(claims(change))
    for (const value of [
      1e30,
      1e15,
      253_402_300_800,
      now + 0.5,
      -1,
      String(now + 60),
      null,
      true,
      [now + 60],
      {},
      '',
    ]) {
      rows[`exp ${JSON.stringify(value)}`] = await sign(claims({ exp: value }))
      rows[`iat ${JSON.stringify(value)}`] = await sign(claims({ iat: value }))
    }
    rows['exp 1e999'] = await sign(JSON.stringify(claims({ exp: 0 })).replace('"exp":0', '"exp":1e999'))
    for (const name of Object.keys(claims())) rows[`no ${name}`] = await sign(without(name))
    expect(await notRefused(rows)).toEqual([])
  })
})
