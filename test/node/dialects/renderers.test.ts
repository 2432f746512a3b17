// Every dialect with values that break a careless writer, read by a parser that was written for something else: an XML parser and
// a parser of Link headers from npm, Node's parsers of URLs and JSON.
import LinkHeader from 'http-link-header'
import { SaxesParser } from 'saxes'
import { describe, expect, it } from 'vitest'
import { TURN_REST_FORMATS, type TurnRestFormat } from '../../../src/contract/resources/credentials.ts'
import { DIALECTS, type Issue } from '../../../src/http/routes/turnRest/dialects.ts'
import { tableOf, textOf } from '../docs/repository.ts'

const NOW = Date.parse('2026-03-02T10:15:00.000Z')
const URLS = {
  stun: ['stun:stun.example.com:3478', 'stuns:[2001:db8::1]'],
  turn: [
    'turn:turn.example.com:3478?transport=udp',
    'turn:192.0.2.1:80?transport=tcp',
    'turn:turn.example.com',
    'turns:turn.example.com:443?transport=tcp',
    'turns:[2001:db8::1]:5350?transport=tcp',
    'turns:turn.example.com',
  ],
}
/** Upstream's credentials are visible ASCII (cloudflare/credentials.ts): the renderers rely on that for control characters only. */
const HOSTILE = [
  ...[
    '"',
    '\\',
    '\\"',
    '\\\\"',
    "'",
    '&',
    '&amp;',
    '<',
    '>',
    ']]>',
    '<!--',
    '&#34;',
    ';',
    ',',
    ',<x>',
    '; rel="x"',
    '%',
    '%22',
  ],
  ...[':', '@', '/', '+', '=', '?', '#', '[', ']', '{', '}', '$&', "$'", '$$', '`', '|', '^', '*', '(', ')', '!', '~'],
  ...['1700000000:alice', 'a:b@c/d+e=f', 'käse', '名前', '\u{1F98A}', '\u00a0', 'a b', ' a ', '-', '0'],
  Array.from({ length: 94 }, (_, n) => String.fromCharCode(0x21 + n)).join(''),
]
interface Login {
  username: string
  credential: string
}

const logins: Login[] = HOSTILE.flatMap((text) => [
  { username: text, credential: 'plain' },
  { username: 'plain', credential: text },
  { username: text, credential: [...text].reverse().join('') },
])

const issued = (login: Login, urls = URLS): Issue => ({
  ...login,
  urls,
  expiresAt: NOW + 3_599_999,
})
const rendered = (format: TurnRestFormat, login: Login, urls = URLS) => DIALECTS[format](issued(login, urls), NOW)

/** The attributes of all elements, by a strict parser with namespaces. */
function xmlElements(body: string) {
  const elements: { name: string; uri: string; attributes: Record<string, string> }[] = []
  const parser = new SaxesParser({ xmlns: true })
  parser.on('error', (error) => {
    throw error
  })
  parser.on('opentag', ({ local, uri, attributes }) => {
    const plain = Object.entries(attributes).map(([name, { value }]) => [name, value])
    elements.push({ name: local, uri, attributes: Object.fromEntries(plain) })
  })
  parser.write(body).close()
  return elements
}

const linesOf = (body: string): string[] => {
  expect(body.endsWith('\n')).toBe(true)
  return body.slice(0, -1).split('\n')
}

const listOf = ({ username, credential }: Login) => [{ urls: URLS.stun }, { urls: URLS.turn, username, credential }]
const ubertiOf = ({ username, credential: password }: Login) => ({ username, password, ttl: 3_599, uris: URLS.turn })

describe('logins with characters that break a careless writer', () => {
  it.each([
    ['uberti', ubertiOf],
    ['matrix', ubertiOf],
    ['rtc', (login: Login) => ({ iceServers: listOf(login) })],
    ['ice-servers', listOf],
    [
      'selkies',
      (login: Login) => ({
        lifetimeDuration: '3599s',
        iceServers: listOf(login),
        blockStatus: 'NOT_BLOCKED',
        iceTransportPolicy: 'all',
      }),
    ],
  ] as const)('The dialect %s is JSON that says what was issued', (format, expected) => {
    for (const login of logins) {
      const { contentType, body } = rendered(format, login)
      expect(contentType).toBe('application/json')
      expect(JSON.parse(body)).toEqual(expected(login))
    }
  })

  it('The dialect xep-0215 is XML with one service a URL', () => {
    for (const login of logins) {
      const { contentType, body } = rendered('xep-0215', login)
      expect(contentType).toBe('application/xml')
      expect(body).toMatch(/^[ -~]+$/)
      const [services, ...each] = xmlElements(body)
      expect(services).toMatchObject({ name: 'services', uri: 'urn:xmpp:extdisco:2' })
      const { username, credential: password } = login
      const secret = { username, password, expires: '2026-03-02T11:14:59.999Z' }
      expect(each.map(({ attributes }) => attributes)).toEqual([
        { type: 'stun', host: 'stun.example.com', port: '3478', transport: 'udp' },
        { type: 'stuns', host: '2001:db8::1', port: '5349', transport: 'tcp' },
        { type: 'turn', host: 'turn.example.com', port: '3478', transport: 'udp', ...secret },
        { type: 'turn', host: '192.0.2.1', port: '80', transport: 'tcp', ...secret },
        { type: 'turn', host: 'turn.example.com', port: '3478', transport: 'udp', ...secret },
        { type: 'turns', host: 'turn.example.com', port: '443', transport: 'tcp', ...secret },
        { type: 'turns', host: '2001:db8::1', port: '5350', transport: 'tcp', ...secret },
        { type: 'turns', host: 'turn.example.com', port: '5349', transport: 'tcp', ...secret },
      ])
      expect(new Set(each.map(({ name, uri }) => `${name} ${uri}`))).toEqual(new Set(['service urn:xmpp:extdisco:2']))
    }
  })

  it('The dialect link is one header line a URL, alone and joined as HTTP joins them', () => {
    for (const login of logins) {
      const { contentType, body } = rendered('link', login)
      expect(contentType).toBe('text/plain; charset=utf-8')
      const values = linesOf(body).map((line) => /^Link: (.+)$/.exec(line)?.[1] ?? '')
      const expected = [
        ...URLS.stun.map((uri) => ({ uri, rel: 'ice-server' })),
        ...URLS.turn.map((uri) => ({ uri, rel: 'ice-server', ...login, 'credential-type': 'password' })),
      ]
      expect(values.flatMap((value) => LinkHeader.parse(value).refs)).toEqual(expected)
      expect(LinkHeader.parse(values.join(', ')).refs).toEqual(expected)
    }
  })

  it('The dialect uri is one URI a TURN URL, with the login in it', () => {
    for (const login of logins) {
      const { contentType, body } = rendered('uri', login)
      expect(contentType).toBe('text/plain; charset=utf-8')
      const lines = linesOf(body)
      expect(lines).toHaveLength(URLS.turn.length)
      for (const [at, line] of lines.entries()) {
        expect(line).toMatch(/^turns?:\/\/[ -~]+$/)
        const url = new URL(line)
        const [username, credential] = [url.username, url.password].map(decodeURIComponent)
        expect({ username, credential }).toEqual(login)
        expect(`${url.protocol}${url.host}${url.search}`).toBe(URLS.turn[at])
      }
    }
  })
})

describe('no STUN URL', () => {
  const login = { username: 'u', credential: 'c' }
  const urls = { stun: [], turn: ['turn:a.example:3478?transport=udp'] }

  it('No STUN URL leaves no empty entry in a list, and no line', () => {
    const entry = { urls: urls.turn, ...login }
    expect(JSON.parse(rendered('rtc', login, urls).body)).toEqual({ iceServers: [entry] })
    expect(JSON.parse(rendered('ice-servers', login, urls).body)).toEqual([entry])
    expect(linesOf(rendered('link', login, urls).body)).toHaveLength(1)
    expect(xmlElements(rendered('xep-0215', login, urls).body)).toHaveLength(2)
  })
})

it('Every format of the contract has a dialect', () => {
  expect(Object.keys(DIALECTS)).toEqual([...TURN_REST_FORMATS])
})

it('Every format stands in docs/integrations.md, in order, with its content type', () => {
  const rows = tableOf(textOf('docs/integrations.md'), '`format`')
  const types = rows.map(([name = '', type]) => [name.split(' ')[0], type])
  const login = { username: 'u', credential: 'c' }
  expect(types).toEqual(TURN_REST_FORMATS.map((format) => [format, rendered(format, login).contentType.split(';')[0]]))
})
