/** The parsers of bodies, on random bodies that are nearly right: what they accept is what a plain reader of the standard reads. */
import { describe, expect, it } from 'vitest'
import { parseStrictForm } from '../../src/contract/strictForm.ts'
import { parseStrictJson } from '../../src/contract/strictJson.ts'
import { bent, randomForm, randomFrom, randomJson } from '../support/contract/randomBodies.ts'
import { referenceForm, referenceJson } from '../support/contract/referenceParsers.ts'

const CASES = 10_000
const MAX_DEPTH = 4
const utf8 = (text: string) => new TextEncoder().encode(text)
const shown = (bytes: Uint8Array) => JSON.stringify(new TextDecoder('latin1').decode(bytes))

/** Where the parser and the reference differ, and how many bodies both accept. */
function compare<T>(bodies: readonly Uint8Array[], ours: (bytes: Uint8Array) => T, theirs: (bytes: Uint8Array) => T) {
  const wrong: string[] = []
  let accepted = 0
  for (const bytes of bodies) {
    const expected = theirs(bytes)
    if (expected !== undefined) accepted++
    // As text: the matchers look at `constructor`, which may be a name here.
    const [got, wanted] = [ours(bytes), expected].map((value) => JSON.stringify(value))
    if (got !== wanted) wrong.push(`${shown(bytes)}: ${got}, expected ${wanted}`)
  }
  return { wrong, accepted }
}

const json = (bytes: Uint8Array) => {
  const parsed = parseStrictJson(bytes, { maxDepth: MAX_DEPTH, ignoreBOM: true })
  return 'problem' in parsed ? undefined : parsed
}
const form = (bytes: Uint8Array) => {
  const parsed = parseStrictForm(bytes)
  return 'problem' in parsed ? undefined : [...parsed.fields]
}
const plainForm = (bytes: Uint8Array) => {
  const fields = referenceForm(bytes)
  return fields && [...fields]
}

describe('random bodies', () => {
  it('Random JSON is read as JSON.parse reads it, or refused where a name is repeated, bytes are no UTF-8 or it is too deep', () => {
    const random = randomFrom(20_261_128)
    const bodies = Array.from({ length: CASES }, () => bent(random, randomJson(random, 5)))
    const { wrong, accepted } = compare(bodies, json, (bytes) => referenceJson(bytes, MAX_DEPTH))
    expect(wrong.slice(0, 10)).toEqual([])
    expect(accepted).toBeGreaterThan(CASES / 5)
    expect(accepted).toBeLessThan((CASES * 4) / 5)
  })

  it('Random forms are read as the URL standard reads them, or refused where a name is repeated or bytes are no UTF-8', () => {
    const random = randomFrom(20_261_129)
    const bodies = Array.from({ length: CASES }, () => bent(random, randomForm(random)))
    const { wrong, accepted } = compare(bodies, form, plainForm)
    expect(wrong.slice(0, 10)).toEqual([])
    expect(accepted).toBeGreaterThan(CASES / 5)
    expect(accepted).toBeLessThan((CASES * 4) / 5)
  })

  it('Bodies on which readers differ are refused, or read in one way', () => {
    const forms: [string | Uint8Array, [string, string][] | undefined][] = [
      ['', []],
      ['&&', []],
      ['a', [['a', '']]],
      ['a=b=c', [['a', 'b=c']]],
      ['a=1;b=2', [['a', '1;b=2']]],
      ['%61=1&a=1', undefined],
      ['a=+%2B', [['a', ' +']]],
      ['\ufeffa=1', [['\ufeffa', '1']]],
      ['a=%EF%BF%BD', [['a', '\ufffd']]],
      // The URL standard makes U+FFFD of these, or leaves the percent sign: another user than the one who was meant.
      ['a=%FF', undefined],
      ['a=%ED%A0%80', undefined],
      ['a=100%', undefined],
      ['a=%zz', undefined],
      [Uint8Array.of(0x61, 0x3d, 0xff), undefined],
    ]
    for (const [body, expected] of forms)
      expect(form(typeof body === 'string' ? utf8(body) : body), String(body)).toEqual(expected)
    const jsons: [string, unknown][] = [
      ['{"a":1,"a":1}', undefined],
      ['{"a":1,"\\u0061":1}', undefined],
      ['{"a":"\\"a\\":"}', { json: { a: '"a":' } }],
      ['{"a" \n:1}', { json: { a: 1 } }],
      ['{"a":"x","b":["a","a"]}', { json: { a: 'x', b: ['a', 'a'] } }],
      ['{"":1,"":2}', undefined],
      ['{"__proto__":1,"__proto__":1}', undefined],
      ['\ufeff{}', undefined],
      ['[[[[]]]]', { json: [[[[]]]] }],
      ['[[[[[]]]]]', undefined],
    ]
    for (const [body, expected] of jsons) expect(json(utf8(body)), body).toEqual(expected)
  })
})
