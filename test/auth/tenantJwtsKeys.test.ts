/** Keys that a tenant's JWT must not be checked with: of another purpose or kind, too weak, or not public. */
import { describe, expect, it } from 'vitest'
import { base64url } from '../../src/crypto/encoding.ts'
import { asText, encode, type Rows, utf8 } from '../support/secrets/forger.ts'
import {
  jwtOf,
  type Key,
  newKey,
  newTrust,
  notAccepted,
  notRefused,
  rightClaims,
  signed,
} from '../support/secrets/idp.ts'

const ANY = { algorithms: ['ES256', 'ES384', 'RS256', 'PS256', 'EdDSA'] }

async function rsaKey(kid: string, modulusLength: number, exponent: number[], hash = 'SHA-256'): Promise<Key> {
  const publicExponent = Uint8Array.from(exponent)
  const algorithm = { name: 'RSASSA-PKCS1-v1_5', modulusLength, publicExponent, hash }
  const pair = (await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])) as CryptoKeyPair // this algorithm makes pairs
  const jwk = (await crypto.subtle.exportKey('jwk', pair.publicKey)) as Key['jwk'] // exported as a JWK
  return {
    alg: 'RS256',
    kid,
    privateKey: pair.privateKey,
    jwk: { kty: 'RSA', n: String(jwk.n), e: String(jwk.e), kid },
  }
}

/** With the exponent 1 a signature is the padded digest itself: everybody can write it (RFC 8017 §9.2). */
async function signedWithOne(kid: string): Promise<string> {
  const text = `${encode(asText({ alg: 'RS256', kid }))}.${encode(asText(rightClaims()))}`
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', utf8(text)))
  const info = Uint8Array.fromHex('3031300d060960864801650304020105000420')
  const padding = new Uint8Array(256 - 3 - info.length - digest.length).fill(0xff)
  return `${text}.${base64url(Uint8Array.of(0, 1, ...padding, 0, ...info, ...digest))}`
}

describe("a JWT of a tenant's user", () => {
  it("A JWT of a tenant's user signed with a key that is not for that is refused", async () => {
    const { broker, provider, key } = await newTrust(ANY)
    const p384 = await newKey('p384', 'ES384')
    const rsa = await newKey('rsa', 'RS256')
    const { jwk } = key
    const variants: Record<string, object> = {
      'use enc': { ...jwk, use: 'enc' },
      'use SIG': { ...jwk, use: 'SIG' },
      'use empty': { ...jwk, use: '' },
      'alg ES384': { ...jwk, alg: 'ES384' },
      'alg ECDH-ES': { ...jwk, alg: 'ECDH-ES' },
      'alg none': { ...jwk, alg: 'none' },
      'kty RSA': { ...jwk, kty: 'RSA' },
      'kty OKP': { ...jwk, kty: 'OKP' },
      'kty missing': { ...jwk, kty: undefined },
      'another curve in name': { ...jwk, crv: 'P-384' },
      'no curve': { ...jwk, crv: undefined },
      'secp256k1 in name': { ...jwk, crv: 'secp256k1' },
      'the private part': { ...jwk, d: jwk.x },
      'a point off the curve': { ...jwk, y: jwk.x },
      'half a point': { ...jwk, y: undefined },
      'numbers for text': { ...jwk, x: 1, y: 2 },
    }
    const named = Object.entries(variants).map(([name, variant]) => ({ ...variant, kid: name }))
    await provider.serves(jwk, p384.jwk, rsa.jwk, ...named)
    const rows: Rows = {}
    for (const kid of Object.keys(variants)) rows[kid] = await jwtOf({ ...key, kid })
    rows['ES256 in name, a P-384 key'] = await signed({ ...p384, alg: 'ES256' }, rightClaims(), {
      alg: 'ES256',
      kid: 'p384',
    })
    rows['PS256 in name, signed by RS256'] = await signed(rsa, rightClaims(), { alg: 'PS256', kid: 'rsa' })
    rows['EdDSA in name, a P-256 key'] = await signed(key, rightClaims(), { alg: 'EdDSA', kid: 'good' })
    expect(await notRefused(broker, rows)).toEqual([])
    const right = { ES256: await jwtOf(key), ES384: await jwtOf(p384), RS256: await jwtOf(rsa) }
    expect(await notAccepted(broker, right)).toEqual([])
  })

  it("A JWT of a tenant's user signed with a weak RSA key, or a secret that stands in the key set, is refused", async () => {
    const { broker, provider } = await newTrust(ANY)
    const [strong, e3, short, barely] = await Promise.all([
      rsaKey('strong', 2_048, [1, 0, 1]),
      rsaKey('e 3', 2_048, [3]),
      rsaKey('1024 bits', 1_024, [1, 0, 1]),
      rsaKey('1920 bits', 1_920, [1, 0, 1]),
    ])
    const secret = crypto.getRandomValues(new Uint8Array(32))
    const privateKey = await crypto.subtle.importKey('raw', secret, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign'])
    const hmac: Key = { alg: 'HS256', kid: 'secret', privateKey, jwk: {} }
    const oct = { kty: 'oct', k: base64url(secret), kid: 'secret' }
    const { n } = strong.jwk
    const leading = `${'AAAA'.repeat(43)}${short.jwk.n}`
    const spoiled: Record<string, object> = {
      'e 1': { kty: 'RSA', n, e: 'AQ' },
      'e even': { kty: 'RSA', n, e: 'AQAA' },
      'e 0': { kty: 'RSA', n, e: 'AA' },
      'e empty': { kty: 'RSA', n, e: '' },
      'no e': { kty: 'RSA', n },
      'no n': { kty: 'RSA', e: 'AQAB' },
      'e in hex': { kty: 'RSA', n, e: '0x10001!' },
      '1024 bits after leading zeros': { ...short.jwk, n: leading },
      'e 3 after leading zeros': { ...e3.jwk, e: 'AAAAAAAD' },
    }
    const named = Object.entries(spoiled).map(([kid, key]) => ({ ...key, kid }))
    await provider.serves(strong.jwk, e3.jwk, short.jwk, barely.jwk, oct, ...named)
    const rows: Rows = {
      'e 3': await jwtOf(e3),
      '1024 bits': await jwtOf(short),
      '1920 bits': await jwtOf(barely),
      'e 1, as everybody can sign': await signedWithOne('e 1'),
      'HS256 with a secret of the set': await jwtOf(hmac),
      'ES256 in name with that secret': await signed(hmac, rightClaims(), { alg: 'ES256', kid: 'secret' }),
      '1024 bits after leading zeros': await jwtOf({ ...short, kid: '1024 bits after leading zeros' }),
      'e 3 after leading zeros': await jwtOf({ ...e3, kid: 'e 3 after leading zeros' }),
    }
    for (const kid of ['e 1', 'e even', 'e 0', 'e empty', 'no e', 'no n', 'e in hex'])
      rows[`${kid}, signed for another`] = await jwtOf({ ...strong, kid })
    expect(await notRefused(broker, rows)).toEqual([])
    expect(await notAccepted(broker, { strong: await jwtOf(strong) })).toEqual([])
  })

  it("A JWT of a tenant's user is good only if one key fits: of two, neither is tried", async () => {
    const { broker, provider, key } = await newTrust(ANY)
    const [other, ed, twin] = await Promise.all([newKey('other'), newKey('ed', 'EdDSA'), newKey('twin')])
    await provider.serves(key.jwk, other.jwk, ed.jwk, twin.jwk, { ...other.jwk, kid: 'twin' })
    const rows: Rows = {
      'no kid, and three fit': await signed(key, rightClaims(), { alg: 'ES256' }),
      'a kid that two keys have': await jwtOf(twin),
    }
    expect(await notRefused(broker, rows)).toEqual([])
    expect(await notAccepted(broker, { right: await jwtOf(key), other: await jwtOf(other) })).toEqual([])
  })
})
