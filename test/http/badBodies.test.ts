/** Bodies that are no JSON, too large, too deep, too slow or of another type get their documented 4xx; never a 500. */

import { describe, expect, it } from 'vitest'
import { BODY_DEADLINE_MS, MAX_BODY_BYTES, MAX_TOKEN_BODY_BYTES } from '../../src/http/body.ts'
import type { Answer } from '../support/broker/answer.ts'
import { newBroker } from '../support/broker/broker.ts'
import { within } from '../support/broker/clock.ts'
import { outcomeOf, shown } from '../support/broker/contract.ts'
import { emulator } from '../support/broker/upstream.ts'
import {
  bodyTargets,
  EMPTY,
  mayBeEmpty,
  notRefused,
  type Sent,
  sendTo,
  type Target,
  WITHOUT_BODY,
  wasRead,
} from '../support/contract/bodies.ts'
import { routes } from '../support/contract/callers.ts'

const bytes = (...values: number[]) => Uint8Array.from(values)
const utf8 = (text: string) => Uint8Array.from(new TextEncoder().encode(text))
const utf16 = (text: string) => bytes(0xff, 0xfe, ...[...text].flatMap((letter) => [letter.charCodeAt(0), 0]))
const nested = (levels: number) => '['.repeat(levels) + ']'.repeat(levels)

const MALFORMED: [string, Sent][] = [
  ['white space', ' \n'],
  ['half an object', '{"name":"a"'],
  ['a comma too many', '{"name":"a",}'],
  ['two objects', '{}{}'],
  ['a comment', '{} // name'],
  ['single quotes', "{'name':'a'}"],
  ['a bare word', 'undefined'],
  ['a form', 'name=a&scopes=b'],
  ['a raw control character', '{"name":"a\u0000"}'],
  ['a number that is none', '{"name":NaN}'],
  ['a list', '[]'],
  ['null', 'null'],
  ['a number', '1'],
  ['a text', '"name"'],
  ['a byte order mark', '\uFEFF{"name":"a"}'],
  ['bytes that are no UTF-8', bytes(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d)],
  ['an overlong encoding', bytes(...utf8('{"name":"'), 0xc0, 0xaf, ...utf8('"}'))],
  ['an encoded surrogate', bytes(...utf8('{"name":"'), 0xed, 0xa0, 0x80, ...utf8('"}'))],
  ['UTF-16', utf16('{"name":"a"}')],
  ['half a character at its end', bytes(...utf8('{"name":"a"}'), 0xc3)],
  ['17 levels', `{"name":${nested(17)}}`],
  ['8,000 levels', `{"name":${nested(8_000)}}`],
  ['8,000 levels and no end', '['.repeat(16_000)],
  ['17 levels where nobody looks', `{"name":"a","ignored":${nested(17)}}`],
  ['a name twice', '{"name":"a","name":"b"}'],
  ['a name twice, once escaped', '{"name":"a","n\\u0061me":"b"}'],
  ['a name twice, deep inside', '{"name":"a","ignored":[{"b":{"c":1,"c":1}}]}'],
  ['__proto__ twice', '{"name":"a","__proto__":1,"__proto__":2}'],
]

/** A body of that many bytes, in pieces; says how many were taken from it and whether it was let go. */
function stream(total: number, piece = 4_096) {
  const taken = { bytes: 0, cancelled: false }
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      taken.bytes += piece
      controller.enqueue(new Uint8Array(piece).fill(0x20))
      if (taken.bytes >= total) controller.close()
    },
    cancel() {
      taken.cancelled = true
    },
  })
  return { body, taken }
}

const maxBytesOf = ({ name }: Target) =>
  ['iceServers', 'issuerCheck'].includes(name) ? MAX_TOKEN_BODY_BYTES : MAX_BODY_BYTES

/** What was asked beside the unknown field was done. */
function isAsAsked({ name, right }: Target, { json }: Answer): boolean {
  if (name.startsWith('credential')) return json.iceServers !== undefined
  return json.result.name === (right as { name?: string }).name
}

describe('a bad body', () => {
  it('A bad body is sent to every route that reads one', async () => {
    const writing = routes.filter(([, { method }]) => ['POST', 'PUT', 'PATCH'].includes(method)).map(([name]) => name)
    const targets = (await bodyTargets(newBroker())).map(({ name }) => name)
    expect([...targets, ...WITHOUT_BODY].sort()).toEqual(writing.sort())
  })

  it('A bad body that is not the JSON of an object is a 400', async () => {
    const broker = newBroker()
    const wrong: string[] = []
    const targets = await bodyTargets(broker)
    await emulator.clearLog()
    for (const target of targets) {
      const refused = mayBeEmpty(target) ? MALFORMED : [...EMPTY, ...MALFORMED]
      for (const [what, body] of refused)
        wrong.push(...notRefused(target, what, await sendTo(broker, target, body), 400))
    }
    expect(wrong).toEqual([])
    expect(await emulator.log()).toEqual([])
  })

  it('A bad body above 16 KiB, or 32 KiB where a token must fit, is a 413, before more of it than that was read', async () => {
    const broker = newBroker()
    const wrong: string[] = []
    const hundredMiB = 100 * 1_048_576
    for (const target of await bodyTargets(broker)) {
      const json = JSON.stringify(target.right)
      const maxBytes = maxBytesOf(target)
      const whole = `${json}${' '.repeat(maxBytes - json.length)}`
      const over: [string, Sent, Record<string, string>?][] = [
        ['one byte above', `${whole} `],
        ['a small body said to be large', json, { 'content-length': String(hundredMiB) }],
        ['a small body said to be endless', json, { 'content-length': '9'.repeat(30) }],
      ]
      for (const [what, body, headers] of over) {
        wrong.push(...notRefused(target, what, await sendTo(broker, target, body, headers), 413))
      }
      for (const headers of [{}, { 'content-length': '5' }, { 'content-length': '-1' }, { 'content-length': 'x' }]) {
        const { body, taken } = stream(hundredMiB)
        const answer = await sendTo(broker, target, body, headers)
        wrong.push(...notRefused(target, `100 MiB, ${JSON.stringify(headers)}`, answer, 413))
        if (taken.bytes > 4 * maxBytes || !taken.cancelled) wrong.push(`${target.name} took ${taken.bytes} bytes`)
      }
      const fits = await sendTo(broker, target, whole)
      if (!wasRead(fits)) wrong.push(`${target.name}, ${maxBytes} bytes: ${shown(fits)}`)
    }
    expect(wrong).toEqual([])
  })

  it('A bad body that breaks off is a 400', async () => {
    const broker = newBroker()
    const wrong: string[] = []
    for (const target of await bodyTargets(broker)) {
      const body = new ReadableStream({
        start(controller) {
          controller.enqueue(utf8('{"name":'))
          controller.error(new Error('connection lost'))
        },
      })
      wrong.push(...notRefused(target, 'a broken body', await sendTo(broker, target, body), 400))
    }
    expect(wrong).toEqual([])
  })

  it(`A bad body that never ends, or drips, is a 400 after ${BODY_DEADLINE_MS / 1_000} s`, async () => {
    const broker = newBroker()
    const targets = await bodyTargets(broker)
    const begun = performance.now()
    const drips: ReturnType<typeof setInterval>[] = []
    const slow = (everyMs?: number) =>
      new ReadableStream({
        start(controller) {
          controller.enqueue(utf8('{"name":"'))
          if (everyMs) drips.push(setInterval(() => controller.enqueue(utf8('a')), everyMs))
        },
        cancel() {
          for (const drip of drips) clearInterval(drip)
        },
      })
    const sent = targets.flatMap((target) => [
      sendTo(broker, target, slow()).then((answer) => notRefused(target, 'no end', answer, 400)),
      sendTo(broker, target, slow(250)).then((answer) => notRefused(target, 'a drip', answer, 400)),
    ])
    const wrong = await within(BODY_DEADLINE_MS + 2_000, 'slow bodies are refused', Promise.all(sent))
    expect(wrong.flat()).toEqual([])
    expect(performance.now() - begun).toBeGreaterThan(BODY_DEADLINE_MS - 100)
  })

  it('A bad body with an unknown field is a 400 on native routes, and ignored where Cloudflare ignores it', async () => {
    const broker = newBroker()
    const wrong: string[] = []
    for (const target of await bodyTargets(broker)) {
      const right = JSON.stringify(target.right).slice(1)
      const strangers = [
        '"extra":1',
        '"__proto__":{"isAdmin":true}',
        '"constructor":{"prototype":{}}',
        '"":0',
        '"Name":"b"',
      ]
      for (const stranger of strangers) {
        const answer = await sendTo(broker, target, `{${stranger},${right}`)
        if (target.isNative) wrong.push(...notRefused(target, stranger, answer, 400))
        else if (answer.status >= 300 || !isAsAsked(target, answer)) {
          wrong.push(`${target.name}, ${stranger}: ${shown(answer)}`)
        }
      }
    }
    expect(wrong).toEqual([])
    expect(Object.hasOwn(Object.prototype, 'isAdmin')).toBe(false)
  })

  it('A bad body is not looked at before its sender is known', async () => {
    const broker = newBroker()
    const wrong: string[] = []
    for (const target of await bodyTargets(broker)) {
      // The browser door's token may be in the body: what it reads is bounded, as above.
      if (target.name === 'iceServers') continue
      const { body, taken } = stream(100 * 1_048_576)
      const answer = await sendTo(broker, { ...target, token: 'junk' }, body, { 'content-type': 'text/plain' })
      if (!outcomeOf(answer).startsWith('401 ')) wrong.push(`${target.name}: ${shown(answer)}`)
      if (taken.bytes > 2 * 4_096) wrong.push(`${target.name} read ${taken.bytes} bytes of a stranger's body`)
    }
    expect(wrong).toEqual([])
  })
})
