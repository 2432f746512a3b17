/** Forged assertions of Cloudflare Access: other algorithms, keys, headers and forms. Each is refused as a stranger is. */
import { describe, expect, it } from 'vitest'
import { base64url, randomBytes } from '../../src/crypto/encoding.ts'
import {
  assertionOf,
  HEADER,
  newTeam,
  notAnswered,
  notRefused,
  personClaims,
  TEAM,
  teamKey,
  withText,
} from '../support/secrets/access.ts'
import { asText, encode, type Rows } from '../support/secrets/forger.ts'
import { type Key, newKey, signed } from '../support/secrets/idp.ts'

/** Wide of what a test may usually take: hundreds of signatures. */
const A_TABLE_MS = 60_000

const signedAs = async (header: object, claims: object = personClaims()) => signed(await teamKey(), claims, header)
/** The last of 342 letters holds two bits: A, Q, g or w; the one behind it stands for the same two. */
const successor = (letter: string) => String.fromCharCode(letter.charCodeAt(0) + 1)

async function hmacKey(secret: string): Promise<Key> {
  const bytes = new TextEncoder().encode(secret)
  const key = await crypto.subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign'])
  return { alg: 'HS256', kid: HEADER.kid, privateKey: key, jwk: {} }
}

async function pemOf({ jwk }: Key): Promise<string> {
  const rsa = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }
  const key = await crypto.subtle.importKey('jwk', { kty: 'RSA', ...jwk } as JsonWebKey, rsa, true, ['verify']) // jose's JWK
  const spki = new Uint8Array((await crypto.subtle.exportKey('spki', key)) as ArrayBuffer) // spki is bytes
  return `-----BEGIN PUBLIC KEY-----\n${spki.toBase64().replace(/.{64}/g, '$&\n')}\n-----END PUBLIC KEY-----\n`
}

describe('an assertion of Cloudflare Access', () => {
  it(
    'G13: An assertion that is forged, or written in another way, is refused before KV or an object is asked',
    async () => {
      const team = await newTeam()
      const key = await teamKey()
      const good = await assertionOf(personClaims())
      const [head = '', body = '', sig = ''] = good.split('.')
      const stranger = await newKey(HEADER.kid, 'RS256')
      const p256 = await newKey(HEADER.kid, 'ES256')
      const none = encode(asText({ ...HEADER, alg: 'none' }))
      const pem = await pemOf(key)
      const rows: Rows = {
        junk: 'junk',
        'an empty text': ' ',
        'two dots': '..',
        'another key under the same name': await signed(stranger, personClaims(), HEADER),
        'a key of no such name': await signed(stranger, personClaims(), { ...HEADER, kid: 'unknown' }),
        'the right key under no such name': await signedAs({ ...HEADER, kid: 'unknown' }),
        'the kid as a number': await signedAs({ ...HEADER, kid: 1 }),
        'the kid __proto__': await signedAs({ ...HEADER, kid: '__proto__' }),
        'the kid null': await signedAs({ ...HEADER, kid: null }),
        'unsigned, alg none': `${none}.${body}.`,
        'alg none with the right signature': `${none}.${body}.${sig}`,
        'alg None': `${encode(asText({ ...HEADER, alg: 'None' }))}.${body}.`,
        'without alg': await signedAs({ kid: HEADER.kid, typ: 'JWT' }),
        'unsigned under RS256': `${head}.${body}.`,
        'a signature of zeros': `${head}.${body}.${base64url(new Uint8Array(256))}`,
        'a random signature': `${head}.${body}.${base64url(randomBytes(256))}`,
        'a signature cut short': good.slice(0, -4),
        'HS256 with the public key as PEM': await signed(await hmacKey(pem), personClaims(), {
          ...HEADER,
          alg: 'HS256',
        }),
        'HS256 with the trimmed PEM': await signed(await hmacKey(pem.trim()), personClaims(), {
          ...HEADER,
          alg: 'HS256',
        }),
        'HS256 with the public key as JWK': await signed(await hmacKey(JSON.stringify(key.jwk)), personClaims(), {
          ...HEADER,
          alg: 'HS256',
        }),
        'HS256 in secret, RS256 in name': await signed(await hmacKey(pem), personClaims(), HEADER),
        'ES256 of a key of its own': await signed(p256, personClaims(), { ...HEADER, alg: 'ES256' }),
        'ES256 in secret, RS256 in name': await signed(p256, personClaims(), HEADER),
        'RS512 in name': await signedAs({ ...HEADER, alg: 'RS512' }),
        'rs256 in name': await signedAs({ ...HEADER, alg: 'rs256' }),
        'PS256 in name': await signedAs({ ...HEADER, alg: 'PS256' }),
        'the alg as a list': await signedAs({ ...HEADER, alg: ['RS256'] }),
        'the alg in the prototype': await signed(key, personClaims(), '{"__proto__":{"alg":"RS256"},"kid":"team-key"}'),
        'the typ of a log-out token': await signedAs({ ...HEADER, typ: 'logout+jwt' }),
        'the typ of a client token': await signedAs({ ...HEADER, typ: 'client+jwt' }),
        'typ null': await signedAs({ ...HEADER, typ: null }),
        'padded base64': `${head}=.${body}.${sig}`,
        'standard base64': `${head}.${body}.${sig.replaceAll('-', '+').replaceAll('_', '/')}+`,
        'a space inside': `${head}. ${body}.${sig}`,
        'base64 that is not canonical': `${head}.${body}.${sig.slice(0, -1)}${successor(sig.slice(-1))}`,
        'no base64': `${head}.${body.slice(0, -1)}*.${sig}`,
        'four parts': `${good}.${sig}`,
        'five parts': `${good}.a.b`,
        'two parts': `${head}.${body}`,
        'two assertions in one header': `${good}, ${good}`,
        'a scheme before it': `Bearer ${good}`,
        'quotes around it': `"${good}"`,
        'more than the longest JWT': await assertionOf(personClaims({ custom: { x: 'x'.repeat(20_000) } })),
        'a header that is no object': await signed(key, personClaims(), '[]'),
        'a header that is no JSON': await signed(key, personClaims(), '{'),
        'a header with a byte order mark': await signed(key, personClaims(), `\uFEFF${asText(HEADER)}`),
        'alg twice in the header': await signed(key, personClaims(), '{"alg":"none","alg":"RS256","kid":"team-key"}'),
        'kid twice in the header': await signed(key, personClaims(), '{"alg":"RS256","kid":"x","kid":"team-key"}'),
        'claims that are no object': await assertionOf('[]'),
        'claims that are no JSON': await assertionOf('{"iss"'),
        'claims that are nested deeply': await assertionOf(withText(`"x":${'['.repeat(99)}${']'.repeat(99)}`)),
      }
      const evil = await newKey('team-key', 'RS256')
      const own = {
        jku: `https://${TEAM}/cdn-cgi/access/certs`,
        jwk: evil.jwk,
        x5u: 'https://evil.example/x',
        x5c: ['MIIB'],
        crit: ['exp'],
        b64: true,
        zip: 'DEF',
        enc: 'A128GCM',
      }
      for (const [name, value] of Object.entries(own)) {
        rows[`${name} in the header, with a key of its own`] = await signed(evil, personClaims(), {
          ...HEADER,
          [name]: value,
        })
        rows[`${name} in the header, else right`] = await signedAs({ ...HEADER, [name]: value })
      }
      expect(Object.keys(rows).length).toBeGreaterThan(37)
      expect(await notRefused(rows)).toEqual([])
      // All of them together: a key that is not there is asked for once in a cool-down.
      expect((await team.asked()).length).toBe(1)
      expect(await notAnswered('200', { control: good })).toEqual([])
    },
    A_TABLE_MS,
  )
})
