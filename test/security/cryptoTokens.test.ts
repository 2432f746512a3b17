/** The text of API tokens and what it is made of: the keyed check, base62, digests compared without an exception. */
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { apiTokenCaller, newApiToken, newApiTokenId, parseApiToken, proveApiToken } from '../../src/auth/apiTokens.ts'
import { newCheckKey, openCheckKey, resealCheckKey, signingKeyOf } from '../../src/crypto/checkKeys.ts'
import { sameDigest, sha256 } from '../../src/crypto/digest.ts'
import { base62, fromBase64url } from '../../src/crypto/encoding.ts'
import { foreignCheckKey } from '../support/secrets/apiTokens.ts'
import { K2, ringOf } from '../support/storage/rings.ts'

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-'
const K1 = ringOf(env.ROOT_KEYS)

/** A check key, and how a text is judged with it: `no token` for another form. */
async function judge() {
  const key = await foreignCheckKey()
  const judged = async (text: string) => {
    const parsed = parseApiToken(text)
    return parsed ? proveApiToken(parsed, [key], Date.now()) : 'no token'
  }
  const made = async () => (await newApiToken({ tenant: 'acme', id: newApiTokenId() }, key)).token
  return { key, judged, made }
}

describe('an API token', () => {
  it('An API token holds tenant, id, 43 characters of secret and 17 of check, and its digest is that of the whole', async () => {
    const { key, judged } = await judge()
    const seen = new Set<string>()
    for (let n = 0; n < 50; n++) {
      const id = newApiTokenId()
      const { token, digest } = await newApiToken({ tenant: 'acme-1', id }, key)
      expect(token).toMatch(/^tb_acme-1_[0-9A-Za-z]{12}_[0-9A-Za-z]{60}$/)
      expect(digest).toBe(await sha256(token))
      const parsed = parseApiToken(token)
      expect(parsed && (await apiTokenCaller(parsed))).toEqual({ kind: 'api-token', tenant: 'acme-1', id, digest })
      expect(await judged(token)).toBe('current')
      seen.add(id).add(token.slice(-60, -17))
    }
    expect(seen.size).toBe(100)
  })

  it('An API token with one wrong character anywhere is refused', async () => {
    const { judged, made } = await judge()
    const token = await made()
    const typos = [...token].flatMap((right, at) =>
      [...ALPHABET].filter((typo) => typo !== right).map((typo) => token.slice(0, at) + typo + token.slice(at + 1)),
    )
    expect(typos.length).toBeGreaterThan(4_000)
    expect(new Set(await Promise.all(typos.map(judged)))).toEqual(new Set(['no token', 'forged']))
  })

  it('An API token with two neighbours swapped, a character lost or one too many is refused', async () => {
    const { judged, made } = await judge()
    const token = await made()
    const wrong = [...token].flatMap((character, at) => [
      token.slice(0, at) + token.slice(at + 1),
      token.slice(0, at) + character + token.slice(at),
      token.slice(0, at) + token.charAt(at + 1) + character + token.slice(at + 2),
    ])
    const judgements = await Promise.all(wrong.filter((each) => each !== token).map(judged))
    expect(new Set(judgements)).toEqual(new Set(['no token', 'forged']))
  })

  it('A text that is longer, shorter or of another kind is not read as an API token', async () => {
    const token = await (await judge()).made()
    const [, tenant, id, rest] = token.split('_')
    const texts = [
      '',
      'tb_',
      `${token}\n`,
      ` ${token}`,
      `${token}${token}`,
      token.toUpperCase(),
      `TB_${tenant}_${id}_${rest}`,
      `tb_${'a'.repeat(33)}_${id}_${rest}`,
      `tb_-acme_${id}_${rest}`,
      `tb_Acme_${id}_${rest}`,
      `tb__${id}_${rest}`,
      `tb_${tenant}_${id?.slice(1)}_${rest}`,
      `tb_${tenant}_${rest}`,
    ]
    for (const text of texts) expect(parseApiToken(text), text.slice(0, 12)).toBeUndefined()
  })
})

describe('the check of API tokens', () => {
  it('The check of an API token made for one tenant, id or secret is right for no other', async () => {
    const { key, judged, made } = await judge()
    const [one, other] = [await made(), await made()]
    expect(await judged(one.slice(0, -17) + other.slice(-17))).toBe('forged')
    const [, , id, rest] = one.split('_')
    expect(await judged(`tb_other_${id}_${rest}`)).toBe('forged')
    const { token } = await newApiToken({ tenant: 'acme', id: 'i'.repeat(12) }, key)
    expect(await judged(token.replace('i'.repeat(12), 'j'.repeat(12)))).toBe('forged')
  })

  it('A token made with the newest check key that is in use is current, with one before it older, with none forged', async () => {
    const now = Date.now()
    const keys = await Promise.all(
      [1, 2, 3].map(async (number) => ({
        ...(await foreignCheckKey(K1, number)),
        signsFrom: now + (number - 2) * 1_000,
      })),
    )
    const proofs = await Promise.all(
      [...keys, await foreignCheckKey(K1, 2)].map(async (key) => {
        const parsed = parseApiToken((await newApiToken({ tenant: 'acme', id: newApiTokenId() }, key)).token)
        return parsed && proveApiToken(parsed, keys, now)
      }),
    )
    // The third is in use a second later; an edge may meet its tokens a moment early.
    expect(proofs).toEqual(['older', 'current', 'current', 'forged'])
    expect([0, now - 1_000, now, now + 1_000].map((at) => signingKeyOf(keys, at)?.number)).toEqual([1, 1, 2, 3])
    expect(signingKeyOf([], now)).toBeUndefined()
  })

  it('A sealed check key opens with its number, version and root key only, and is the same key after a move to another root key', async () => {
    const sealed = await newCheckKey(K1, { number: 1, signsFrom: 0 })
    const key = await openCheckKey(K1, sealed)
    if (!key) throw new Error('it opens')
    for (const wrong of [{ number: 2 }, { version: 2 }, { sealed: `${sealed.sealed.slice(0, -2)}AA` }])
      expect(await openCheckKey(K1, { ...sealed, ...wrong })).toBeUndefined()
    expect(await openCheckKey(ringOf(K2), sealed)).toBeUndefined()
    expect(await resealCheckKey(ringOf(K2), sealed)).toBeUndefined()

    const moved = await resealCheckKey(ringOf(`${K2},${env.ROOT_KEYS}`), sealed)
    expect(moved).toMatchObject({ number: 1, version: 2, signsFrom: 0, sealed: expect.stringMatching(/^1\.k2\./) })
    const again = moved && (await openCheckKey(ringOf(K2), moved))
    const parsed = parseApiToken((await newApiToken({ tenant: 'acme', id: newApiTokenId() }, key)).token)
    expect(parsed && again && (await proveApiToken(parsed, [again], 0))).toBe('current')
  })
})

describe('base62', () => {
  it.each([
    [[], 3, '000'],
    [[0], 1, '0'],
    [[61], 1, 'z'],
    [[62], 2, '10'],
    [[0, 0, 1], 4, '0001'],
    [[0xff, 0xff, 0xff, 0xff], 6, '4gfFC3'],
  ])('Base62 writes %j in at least %i characters as %s', (bytes, width, text) => {
    expect(base62(Uint8Array.from(bytes), width)).toBe(text)
  })

  it('Base62 never needs more than 43 characters for 32 bytes', () => {
    expect(base62(new Uint8Array(32).fill(0xff), 43)).toHaveLength(43)
    expect(base62(new Uint8Array(32), 43)).toBe('0'.repeat(43))
  })
})

it('Base64url is read in its one way of being written, and in no other', () => {
  expect(fromBase64url('AAE').toHex()).toBe('0001')
  expect(fromBase64url('-_8').toHex()).toBe('fbff')
  for (const text of ['AAE=', 'AAF', 'A', 'AA E', 'AAE\n', '+/8', 'AA==', '*']) {
    expect(() => fromBase64url(text), JSON.stringify(text)).toThrow()
  }
})

describe('digests', () => {
  it('Digests are SHA-256 in base64url', async () => {
    expect(await sha256('abc')).toBe('ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0')
    expect(await sha256(Uint8Array.of(0x61, 0x62, 0x63))).toBe(await sha256('abc'))
  })

  it('Digests are compared without an exception, also when one is shorter', async () => {
    const digest = await sha256('abc')
    expect(sameDigest(digest, `${digest}`)).toBe(true)
    for (const other of ['', digest.slice(1), `${digest}A`, await sha256('abd'), 'ä'.repeat(43)]) {
      expect(sameDigest(digest, other)).toBe(false)
      expect(sameDigest(other, digest)).toBe(false)
    }
  })
})
