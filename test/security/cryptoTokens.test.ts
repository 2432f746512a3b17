/** The text of API tokens and what it is made of: base62, CRC-32, digests compared without an exception. */
import { describe, expect, it } from 'vitest'
import { newApiToken, newApiTokenId, readApiToken } from '../../src/auth/apiTokens.ts'
import { sameDigest, sha256 } from '../../src/crypto/digest.ts'
import { base62, crc32, fromBase64url } from '../../src/crypto/encoding.ts'

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-'

describe('an API token', () => {
  it('An API token holds tenant, id, 43 characters of secret and 6 of checksum, and its digest is that of the whole', async () => {
    const seen = new Set<string>()
    for (let n = 0; n < 50; n++) {
      const id = newApiTokenId()
      const { token, digest } = await newApiToken('acme-1', id)
      expect(token).toMatch(/^tb_acme-1_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}$/)
      expect(digest).toBe(await sha256(token))
      expect(await readApiToken(token)).toEqual({ kind: 'api-token', tenant: 'acme-1', id, digest })
      seen.add(id).add(token.slice(-49, -6))
    }
    expect(seen.size).toBe(100)
  })

  it('An API token with one wrong character anywhere is refused', async () => {
    const { token } = await newApiToken('acme', newApiTokenId())
    const typos = [...token].flatMap((right, at) =>
      [...ALPHABET].filter((typo) => typo !== right).map((typo) => token.slice(0, at) + typo + token.slice(at + 1)),
    )
    expect(typos.length).toBeGreaterThan(4_000)
    const read = await Promise.all(typos.map((typo) => readApiToken(typo)))
    expect(read.filter((caller) => caller !== undefined)).toEqual([])
  })

  it('An API token with two neighbours swapped, a character lost or one too many is refused', async () => {
    const { token } = await newApiToken('acme', newApiTokenId())
    const wrong = [...token].flatMap((character, at) => [
      token.slice(0, at) + token.slice(at + 1),
      token.slice(0, at) + character + token.slice(at),
      token.slice(0, at) + token.charAt(at + 1) + character + token.slice(at + 2),
    ])
    for (const text of wrong.filter((each) => each !== token)) {
      expect(await readApiToken(text), `${text.length} characters`).toBeUndefined()
    }
  })

  it('A text that is longer, shorter or of another kind is not read as an API token', async () => {
    const { token } = await newApiToken('acme', newApiTokenId())
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
    for (const text of texts) expect(await readApiToken(text), text.slice(0, 12)).toBeUndefined()
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

it.each([
  ['', '00000000'],
  ['a', 'e8b7be43'],
  ['123456789', 'cbf43926'],
  ['The quick brown fox jumps over the lazy dog', '414fa339'],
])('CRC-32 of %j is %s', (text, expected) => {
  expect(crc32(text).toHex()).toBe(expected)
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
