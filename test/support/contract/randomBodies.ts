/** Random bodies, the same in every run: forms and JSON that are nearly right, bent at a byte or two. */

export type Random = () => number

/** Mulberry32: numbers from 0 to 1. */
export function randomFrom(seed: number): Random {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

export const pick = <T>(random: Random, from: readonly T[]): T => from[Math.floor(random() * from.length)] as T // not empty

const NAMES = [
  'ttl',
  'access_token',
  'username',
  'service',
  'customIdentifier',
  '__proto__',
  'constructor',
  '',
  'é',
  'a"b',
]
const TEXTS = [
  '',
  'turn',
  'alice',
  '600',
  '\\',
  '"',
  '"a":',
  '{"a":1}',
  '\u0000',
  '\u2028',
  '\ufeff',
  '\ufffd',
  '😀',
  '%',
  '%zz',
  ' ',
  '+',
  '&=;',
]
const SPACES = ['', '', '', ' ', '\n', '\t', '\r', '  ']
const times = (random: Random, most: number) => Array.from({ length: Math.floor(random() * (most + 1)) })

/** The text of a JSON value, with the spellings that readers may differ on. */
export function randomJson(random: Random, depth = 3): string {
  const space = () => pick(random, SPACES)
  const kinds = [
    () => jsonText(random, pick(random, TEXTS)),
    () => pick(random, ['0', '-0', '600', '1.5', '1e3', '172801', '1e999', 'true', 'false', 'null']),
    () =>
      `[${space()}${times(random, 3)
        .map(() => randomJson(random, depth - 1))
        .join(`${space()},${space()}`)}]`,
    () => randomObject(random, depth - 1),
  ]
  return space() + pick(random, depth > 0 ? kinds : kinds.slice(0, 2))() + space()
}

/** An object whose names are often those that the doors know, at times twice. */
export const randomObject = (random: Random, depth = 3): string =>
  `{${times(random, 4)
    .map(() => `${jsonText(random, pick(random, NAMES))}${pick(random, SPACES)}:${randomJson(random, depth)}`)
    .join(',')}}`

/** A text in quotes, where each character may be escaped. */
const jsonText = (random: Random, text: string): string =>
  `"${[...Array(text.length).keys()]
    .map((at) => {
      const escaped = `\\u${text.charCodeAt(at).toString(16).padStart(4, '0')}`
      return random() < 0.15 ? escaped : JSON.stringify(text.charAt(at)).slice(1, -1)
    })
    .join('')}"`

export function randomForm(random: Random): string {
  const encoded = (text: string) =>
    pick(random, [
      encodeURIComponent,
      (raw: string) => raw,
      (raw: string) => encodeURIComponent(raw).replaceAll('%20', '+'),
    ])(text)
  return times(random, 4)
    .map(() => encoded(pick(random, NAMES)) + pick(random, ['=', '=', '=', '==', '']) + encoded(pick(random, TEXTS)))
    .join(pick(random, ['&', '&', '&', '&&', ';']))
}

/** The bytes of the text, changed in up to three places in half of all cases. */
export function bent(random: Random, text: string): Uint8Array<ArrayBuffer> {
  const bytes = [...new TextEncoder().encode(text)]
  const ODD = [0x22, 0x25, 0x26, 0x2c, 0x3a, 0x3d, 0x5b, 0x5c, 0x7b, 0x7d, 0x00, 0x80, 0xc3, 0xed, 0xff, 0xef, 0x31]
  for (const _ of random() < 0.5 ? [] : times(random, 3)) {
    const at = Math.floor(random() * (bytes.length + 1))
    const changes = [
      () => bytes.splice(at, 0, pick(random, ODD)),
      () => bytes.splice(at, 1),
      () => bytes.splice(at, 1, pick(random, ODD)),
      () => bytes.splice(at, 0, ...bytes.slice(at, at + Math.floor(random() * 12))),
    ]
    pick(random, changes)()
  }
  return Uint8Array.from(bytes)
}
