/** G4: a sealed text opens where it was sealed, with the root key it was sealed with, unchanged; and nowhere else. */
import { describe, expect, it } from 'vitest'
import { sha256 } from '../../src/crypto/digest.ts'
import { base64url, fromBase64url } from '../../src/crypto/encoding.ts'
import { deriveSealingKey, type Purpose, parseRootKeys, type RootKeys } from '../../src/crypto/rootKeys.ts'
import { open, type Place, rootKeyOf, seal } from '../../src/crypto/seal.ts'

const SECRET = '0123456789abcdef'.repeat(4)
const PLACE: Place = { purpose: 'turn-key-secret', tenant: 'acme', record: 'a'.repeat(32), version: 1 }

const rootKey = (fill: number, bytes = 32) => new Uint8Array(bytes).fill(fill).toBase64()

function ring(text: string): RootKeys {
  const keys = parseRootKeys(text)
  if (!keys) throw new Error('the test meant a well-formed ring')
  return keys
}

const KEYS = ring(`k1:${rootKey(1)}`)

/** How many of the texts open. */
async function countOpened(texts: string[], keys = KEYS, place = PLACE): Promise<number> {
  const opened = await Promise.all(texts.map((text) => open(keys, place, text)))
  return opened.filter((secret) => secret !== undefined).length
}

describe('G4: sealing', () => {
  it('G4: Sealing gives back what was sealed, whatever its length, and never the same text twice', async () => {
    for (const secret of ['', '7', '12', '123', 'ä€😀', SECRET]) {
      const sealed = await seal(KEYS, PLACE, secret)
      expect(sealed).toMatch(/^1\.k1\.[A-Za-z0-9_-]+$/)
      expect(await open(KEYS, PLACE, sealed), `${secret.length} characters`).toBe(secret)
      expect(await seal(KEYS, PLACE, secret)).not.toBe(sealed)
    }
  })

  it('G4: Sealing opens nothing in which one bit was flipped, in the text or in the bytes it stands for', async () => {
    for (const secret of [SECRET, '12']) {
      const sealed = await seal(KEYS, PLACE, secret)
      const texts = [...sealed].flatMap((character, at) =>
        [0, 1, 2, 3, 4, 5, 6, 7].map((bit) => {
          const flipped = String.fromCharCode(character.charCodeAt(0) ^ (1 << bit))
          return sealed.slice(0, at) + flipped + sealed.slice(at + 1)
        }),
      )
      const [format, id, body = ''] = sealed.split('.')
      const bytes = fromBase64url(body)
      for (let at = 0; at < bytes.length * 8; at++) {
        const flipped = bytes.slice()
        flipped[at >> 3] = (flipped[at >> 3] ?? 0) ^ (1 << (at & 7))
        texts.push(`${format}.${id}.${base64url(flipped)}`)
      }
      expect(await countOpened(texts)).toBe(0)
      expect(await countOpened([sealed])).toBe(1)
    }
  })

  it('G4: Sealing opens nothing that was cut, lengthened, padded or written another way', async () => {
    const sealed = await seal(KEYS, PLACE, '12')
    const cut = [...sealed].map((_, length) => sealed.slice(0, length))
    const more = ['A', '=', '==', '\n', ' ', '.', '.A', '.1.k1.A'].flatMap((text) => [sealed + text, text + sealed])
    const spaced = sealed.replace('1.k1.', '1.k1. ')
    const standard = [sealed.replaceAll('-', '+').replaceAll('_', '/')].filter((text) => text !== sealed)
    expect(await countOpened([...cut, ...more, spaced, ...standard, '', '..', '1.k1.', '2.k1.A'])).toBe(0)
  })

  it('G4: Sealing opens nothing at another place: every pair of tenant, record, version and purpose', async () => {
    const purposes: Purpose[] = ['turn-key-secret', 'page-cursor']
    const places = purposes.flatMap((purpose) =>
      ['acme', 'acme-2'].flatMap((tenant) =>
        ['a'.repeat(32), 'b'.repeat(32)].flatMap((record) =>
          [1, 2].map((version) => ({ purpose, tenant, record, version })),
        ),
      ),
    )
    const sealed = await Promise.all(places.map((place) => seal(KEYS, place, SECRET)))
    for (const [at, place] of places.entries()) {
      const elsewhere = sealed.filter((_, index) => index !== at)
      expect(await countOpened(elsewhere, KEYS, place), JSON.stringify(place)).toBe(0)
      expect(await countOpened(sealed.slice(at, at + 1), KEYS, place)).toBe(1)
    }
  })

  it('G4: Sealing does not take neighbouring fields for each other', async () => {
    const sealed = await seal(KEYS, { ...PLACE, tenant: 'acme', record: '1x' }, SECRET)
    for (const [tenant, record] of [
      ['acme1', 'x'],
      ['acm', 'e1x'],
      ['acme","1x', ''],
      ['', 'acme1x'],
    ]) {
      expect(await open(KEYS, { ...PLACE, tenant: tenant ?? '', record: record ?? '' }, sealed)).toBeUndefined()
    }
  })
})

describe('G4: root keys', () => {
  it('G4: Root keys open what an older one sealed for as long as it is in the ring, wherever it stands', async () => {
    const sealed = await seal(KEYS, PLACE, SECRET)
    const rotated = ring(`k2:${rootKey(2)},k1:${rootKey(1)}`)
    expect(await open(rotated, PLACE, sealed)).toBe(SECRET)
    expect(rootKeyOf(sealed)).toBe('k1')
    expect(rootKeyOf(await seal(rotated, PLACE, SECRET))).toBe('k2')
    expect(await open(ring(`k2:${rootKey(2)}`), PLACE, sealed)).toBeUndefined()
  })

  it('G4: Root keys do not open for each other: not under the same id, not under a swapped one', async () => {
    const sealed = await seal(KEYS, PLACE, SECRET)
    expect(await open(ring(`k1:${rootKey(2)}`), PLACE, sealed)).toBeUndefined()
    // The same bytes under another id: the id is bound too.
    const twins = ring(`k1:${rootKey(1)},k2:${rootKey(1)}`)
    expect(await open(twins, PLACE, sealed)).toBe(SECRET)
    expect(await open(twins, PLACE, sealed.replace('.k1.', '.k2.'))).toBeUndefined()
  })

  it('G4: Root keys derive another key for another purpose and another salt (HKDF)', async () => {
    const input = await KEYS.get('k1')
    if (!input) throw new Error('k1 is in the ring')
    const salt = new Uint8Array(16).fill(3)
    const data = new Uint8Array(32)
    const iv = new Uint8Array(12)
    const encrypted = async (purpose: Purpose, with_: Uint8Array<ArrayBuffer>) => {
      const key = await deriveSealingKey(input, purpose, with_)
      return base64url(new Uint8Array(await crypto.subtle.encrypt({ name: 'AES-GCM', iv }, key, data)))
    }
    const one = await encrypted('turn-key-secret', salt)
    expect(await encrypted('turn-key-secret', salt)).toBe(one)
    expect(await encrypted('page-cursor', salt)).not.toBe(one)
    expect(await encrypted('turn-key-secret', new Uint8Array(16))).not.toBe(one)
  })

  const malformed: [string, string][] = [
    ['nothing', ''],
    ['no id', rootKey(1)],
    ['an empty id', `:${rootKey(1)}`],
    ['an id with other characters', `k_1:${rootKey(1)}`],
    ['an id that would end the sealed text early', `k.1:${rootKey(1)}`],
    ['an id of 17 characters', `${'k'.repeat(17)}:${rootKey(1)}`],
    ['31 bytes', `k1:${rootKey(1, 31)}`],
    ['33 bytes', `k1:${rootKey(1, 33)}`],
    ['no bytes', 'k1:'],
    ['no base64', `k1:${'*'.repeat(44)}`],
    ['base64url', `k1:${rootKey(0xfb).replaceAll('+', '-').replaceAll('/', '_')}`],
    ['a third part', `k1:${rootKey(1)}:x`],
    ['an id twice', `k1:${rootKey(1)},k1:${rootKey(2)}`],
    ['a comma at the end', `k1:${rootKey(1)},`],
    ['one bad key among good ones', `k1:${rootKey(1)},k2:short`],
    ['nine keys', Array.from({ length: 9 }, (_, n) => `k${n}:${rootKey(n)}`).join(',')],
  ]
  it.each(malformed)('G4: Root keys are refused with %s', (_name, text) => {
    expect(parseRootKeys(text)).toBeUndefined()
  })

  it('G4: Root keys are read in order, the first being current, with spaces around entries', async () => {
    const eight = Array.from({ length: 8 }, (_, n) => `k${n}:${rootKey(n)}`).join(' , ')
    expect(ring(eight)).toMatchObject({ current: 'k0', ids: ['k0', 'k1', 'k2', 'k3', 'k4', 'k5', 'k6', 'k7'] })
    expect(await ring(eight).get('k8')).toBeUndefined()
  })
})

it('Digests of texts that are computed at the same time are those of each text alone, whatever its length', async () => {
  const texts = ['', 'a', 'ß', '€'.repeat(341), '€'.repeat(342), '😀'.repeat(170), 'x'.repeat(2_000), 'y'.repeat(128)]
  const alone: string[] = []
  for (const text of texts) {
    alone.push(base64url(new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)))))
  }
  expect(await Promise.all(texts.map((text) => sha256(text)))).toEqual(alone)
})
