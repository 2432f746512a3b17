/** Forged JWTs of a tenant's users: other algorithms, headers, keys and forms. Every one is answered as junk is. */
import { describe, expect, it } from 'vitest'
import { base64url, randomBytes } from '../../src/crypto/encoding.ts'
import { ALPHABET, asText, encode, type Rows } from '../support/secrets/forger.ts'
import {
  issuerAt,
  jwtOf,
  type Key,
  newKey,
  newTrust,
  notAccepted,
  notRefused,
  playedProvider,
  rightClaims,
  signed,
} from '../support/secrets/idp.ts'

const PROMISED = { alg: 'ES256', kid: 'good', typ: 'JWT' }

const hmacKey = async (secret: string, alg = 'HS256'): Promise<Key> => {
  const bytes = new TextEncoder().encode(secret)
  const hash = `SHA-${alg.slice(2)}`
  const privateKey = await crypto.subtle.importKey('raw', bytes, { name: 'HMAC', hash }, false, ['sign'])
  return { alg, kid: 'good', privateKey, jwk: {} }
}

async function pemOf({ jwk }: Key): Promise<string> {
  const key = await crypto.subtle.importKey(
    'jwk',
    { kty: 'EC', ...jwk } as JsonWebKey,
    { name: 'ECDSA', namedCurve: 'P-256' },
    true,
    ['verify'],
  )
  const spki = new Uint8Array((await crypto.subtle.exportKey('spki', key)) as ArrayBuffer) // spki is bytes
  return `-----BEGIN PUBLIC KEY-----\n${spki.toBase64().replace(/.{64}/g, '$&\n')}\n-----END PUBLIC KEY-----\n`
}

describe("a JWT of a tenant's user", () => {
  it("A JWT of a tenant's user signed by another algorithm, or with the public key as a secret, is refused", async () => {
    const { broker, key } = await newTrust()
    const RS256 = await newKey('good', 'RS256')
    const [head, body, sig] = (await jwtOf(key)).split('.')
    const none = (alg: unknown) => encode(asText({ ...PROMISED, alg }))
    const rows: Rows = {
      'RS256, which the policy does not name': await jwtOf(RS256),
      'ES256 in name, signed by RS256': await signed(RS256, rightClaims(), PROMISED),
      'unsigned under ES256': `${head}.${body}.`,
    }
    for (const alg of ['none', 'None', 'NONE', 'nOnE', '', null, 0, ['ES256'], undefined]) {
      rows[`${alg}, unsigned`] = `${none(alg)}.${body}.`
      rows[`${alg}, with the right signature`] = `${none(alg)}.${body}.${sig}`
      rows[`${alg}, signed`] = await signed(key, rightClaims(), { ...PROMISED, alg })
    }
    for (const alg of ['ES384', 'ES512', 'ES256K', 'EdDSA', 'PS256', 'es256', 'ES256 ', 'Ed25519', 'RS1', 'dir'])
      rows[`${alg} in name`] = await signed(key, rightClaims(), { ...PROMISED, alg })
    const pem = await pemOf(key)
    const secrets = {
      PEM: pem,
      'trimmed PEM': pem.trim(),
      JWK: JSON.stringify(key.jwk),
      x: String(key.jwk.x),
      nothing: ' ',
    }
    for (const alg of ['HS256', 'HS384', 'HS512']) {
      for (const [name, secret] of Object.entries(secrets)) {
        const forger = await hmacKey(secret, alg)
        rows[`${alg} with the public key's ${name}`] = await signed(forger, rightClaims(), { ...PROMISED, alg })
        rows[`${alg} with its ${name}, ES256 in name`] = await signed(forger, rightClaims(), PROMISED)
      }
    }
    expect(await notRefused(broker, rows)).toEqual([])
    expect(await notAccepted(broker, { control: await jwtOf(key) })).toEqual([])
  })

  it("A JWT of a tenant's user that brings its own key, or a header that changes what is signed, is refused", async () => {
    const evil = playedProvider()
    const { broker, key } = await newTrust()
    const forger = await newKey('good')
    await evil.serves(forger.jwk)
    const own = {
      jku: evil.jwksUrl,
      x5u: evil.jwksUrl,
      jwk: forger.jwk,
      x5c: ['MIIB'],
      crit: ['exp'],
      b64: true,
      zip: 'DEF',
      cty: 'JWT',
      enc: 'A128GCM',
    }
    const rows: Rows = { "a forger's own key": await jwtOf(forger) }
    for (const [name, value] of Object.entries(own)) {
      rows[`${name} of a forger`] = await signed(forger, rightClaims(), { ...PROMISED, [name]: value })
      rows[`${name}, else right`] = await signed(key, rightClaims(), { ...PROMISED, [name]: value })
    }
    rows['b64 false, and critical'] = await signed(key, rightClaims(), { ...PROMISED, b64: false, crit: ['b64'] })
    for (const cty of ['jwt', 'application/JWT'])
      rows[`cty ${cty}`] = await signed(key, rightClaims(), { ...PROMISED, cty })
    for (const typ of [
      'client+jwt',
      'id_token',
      'logout+jwt',
      'dpop+jwt',
      'JWE',
      'a/jwt',
      ' JWT',
      '',
      null,
      1,
      ['JWT'],
    ])
      rows[`typ ${typ}`] = await signed(key, rightClaims(), { ...PROMISED, typ })
    for (const header of ['null', '[]', '"ES256"', '1', '', '{', 'no JSON', `\uFEFF${asText(PROMISED)}`])
      rows[`the header ${header}`] = await signed(key, rightClaims(), header)
    rows['alg in the prototype'] = await signed(key, rightClaims(), '{"__proto__":{"alg":"ES256"},"kid":"good"}')
    expect(await notRefused(broker, rows)).toEqual([])
    expect(await evil.asked(), 'nothing is fetched that a token names').toEqual([])

    const good: Rows = {}
    for (const typ of [
      'JWT',
      'jwt',
      'Jwt',
      'at+jwt',
      'AT+JWT',
      'application/at+jwt',
      'application/jwt',
      'Bearer',
      undefined,
    ])
      good[`typ ${typ}`] = await signed(key, rightClaims(), { ...PROMISED, typ })
    good['thumbprints and a nonce'] = await signed(key, rightClaims(), {
      ...PROMISED,
      x5t: 'a',
      'x5t#S256': 'b',
      nonce: 'c',
    })
    const ignored = {
      cat: 'cl_B7d4PD222AAA',
      cty: 'json',
      p2c: 1e9,
      iss: 'https://other.example',
      '': 1,
      nonce: { a: 1 },
    }
    for (const [name, value] of Object.entries(ignored))
      good[`the unknown header name ${name}`] = await signed(key, rightClaims(), { ...PROMISED, [name]: value })
    good['no kid, and one key'] = await signed(key, rightClaims(), { alg: 'ES256' })
    expect(await notAccepted(broker, good)).toEqual([])
  })

  it("A JWT of a tenant's user whose key id names no key of its issuer is refused", async () => {
    const second = playedProvider()
    const secondKey = await newKey('second')
    await second.serves(secondKey.jwk)
    const { broker, key } = await newTrust({}, issuerAt(second, { issuer: 'https://second.example' }))
    const rows: Rows = {
      'the other issuer, by its kid': await jwtOf(secondKey),
      'the other issuer, by this kid': await signed(secondKey, rightClaims(), PROMISED),
      "the other's claims under this key": await jwtOf(key, { iss: 'https://second.example' }),
    }
    const kids = [
      '',
      ' ',
      'GOOD',
      'good ',
      'good\0',
      '../good',
      '/keys',
      './good',
      'good#',
      'second',
      '__proto__',
      'constructor',
    ]
    for (const kid of [...kids, '0', 'x'.repeat(257), 'x'.repeat(5_000), 0, null, true, ['good'], { good: 1 }])
      rows[`kid ${asText(kid).slice(0, 20)}`] = await signed(key, rightClaims(), { ...PROMISED, kid })
    expect(await notRefused(broker, rows)).toEqual([])
    const right = { one: await jwtOf(key), other: await jwtOf(secondKey, { iss: 'https://second.example' }) }
    expect(await notAccepted(broker, right)).toEqual([])
  })

  it("A JWT of a tenant's user of another form than three parts of canonical base64url within 16 KiB is refused", async () => {
    const { broker, key } = await newTrust()
    const token = await jwtOf(key)
    const [head = '', body = '', sig = ''] = token.split('.')
    const rows: Rows = {
      'two parts': `${head}.${body}`,
      'four parts': `${token}.${sig}`,
      'five parts, as a JWE': `${head}..${body}.${sig}.${sig}`,
      'an empty last part more': `${token}.`,
      'no payload': `${head}..${sig}`,
      'no header': `.${body}.${sig}`,
      'only dots': '..',
      'parts exchanged': `${body}.${head}.${sig}`,
      'a padded signature': `${token}==`,
      'a padded payload': `${head}.${body}=.${sig}`,
      'base64 for base64url': await jwtOf(key, { more: '???>>>' }).then((it) =>
        it.replaceAll('_', '/').replaceAll('-', '+'),
      ),
      'a blank in the signature': `${head}.${body}.${sig.slice(0, 9)} ${sig.slice(9)}`,
      // 64 bytes leave four bits over, 86 characters.
      'stray bits at the end': token.slice(0, -1) + ALPHABET[ALPHABET.indexOf(token.slice(-1)) ^ 1],
      'half a signature': token.slice(0, -43),
      'the signature twice': token + sig,
      'a signature of zeros': `${head}.${body}.${'A'.repeat(86)}`,
      'a signature of noise': `${head}.${body}.${base64url(randomBytes(64))}`,
      'a DER signature': `${head}.${body}.${derOf(sig)}`,
      '16,385 characters': await sized(key, 16_385),
      '17,000 characters': await sized(key, 17_000),
    }
    const bytes = Uint8Array.fromBase64(sig, { alphabet: 'base64url' })
    for (let at = 0; at < bytes.length; at += 7) {
      const flipped = bytes.with(at, (bytes[at] ?? 0) ^ (1 << (at % 8)))
      rows[`a bit of byte ${at} flipped`] = `${head}.${body}.${base64url(flipped)}`
    }
    for (const payload of ['null', '[]', '"x"', '', '{', `[${asText(rightClaims())}]`, '['.repeat(3_000)])
      rows[`the payload ${payload.slice(0, 20)}`] = await signed(key, payload, PROMISED)
    rows['another payload'] = `${head}.${encode(asText({ ...rightClaims(), sub: 'mallory' }))}.${sig}`
    expect(await notRefused(broker, rows)).toEqual([])
    expect(await notAccepted(broker, { whole: token, '16,384 characters': await sized(key, 16_384) })).toEqual([])
  })
})

/** A right token of exactly this many characters, by blanks in its JSON. */
function sized(key: Key, characters: number): Promise<string> {
  const headers = ['', ' ', '  '].map((blanks) => asText(PROMISED) + blanks)
  const left = (header: string) => characters - encode(header).length - '..'.length - 86
  // No base64url has one character more than a multiple of four.
  const header = headers.find((text) => left(text) % 4 !== 1) ?? ''
  return signed(key, asText(rightClaims()).padEnd(Math.floor((left(header) * 3) / 4)), header)
}

/** The same two numbers in ASN.1, as other trades write them. */
function derOf(signature: string): string {
  const bytes = Uint8Array.fromBase64(signature, { alphabet: 'base64url' })
  const integers = [bytes.slice(0, 32), bytes.slice(32)].flatMap((number) => {
    const signed = (number[0] ?? 0) > 127 ? [0, ...number] : [...number]
    return [2, signed.length, ...signed]
  })
  return base64url(Uint8Array.of(0x30, integers.length, ...integers))
}
