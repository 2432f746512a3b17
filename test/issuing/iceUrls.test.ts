/** The pure rule that chooses which of upstream's URLs a tenant's users get, case by case. */
import { describe, expect, it } from 'vitest'
import { chooseUrls, type Transport, type UrlPolicy } from '../../src/cloudflare/iceUrls.ts'

const ALL: UrlPolicy = { transports: ['udp', 'tcp', 'tls'], maxUrls: null }
const only = (...transports: Transport[]): UrlPolicy => ({ transports, maxUrls: null })
const atMost = (maxUrls: number, ...transports: Transport[]): UrlPolicy => ({
  transports: transports.length > 0 ? transports : ALL.transports,
  maxUrls,
})

const STUN = 'stun:stun.cloudflare.com:3478'
const UDP = 'turn:turn.cloudflare.com:3478?transport=udp'
const TCP = 'turn:turn.cloudflare.com:3478?transport=tcp'
const TLS = 'turns:turn.cloudflare.com:443?transport=tcp'
const UDP_443 = 'turn:turn.cloudflare.com:443?transport=udp'
const UDP_53 = 'turn:turn.cloudflare.com:53?transport=udp'
const TCP_80 = 'turn:turn.cloudflare.com:80?transport=tcp'
const TLS_5349 = 'turns:turn.cloudflare.com:5349?transport=tcp'

const NEWEST = [STUN, UDP, UDP_443, TCP, TCP_80, TLS_5349, TLS]
const WITH_53 = [STUN, 'stun:stun.cloudflare.com:53', UDP, UDP_53, TCP, TCP_80, TLS_5349, TLS]
const reversed = (urls: string[]) => [...urls].reverse()

type Row = [name: string, urls: string[], policy: UrlPolicy, stun: string[], turn: string[]]

const GENERATIONS: Row[] = [
  ['the newest list', NEWEST, ALL, [STUN], [UDP, TCP, TLS]],
  ['the newest list, reversed', reversed(NEWEST), ALL, [STUN], [UDP, TCP, TLS]],
  ['the list with port 53', WITH_53, ALL, [STUN], [UDP, TCP, TLS]],
  ['the list with port 53, reversed', reversed(WITH_53), ALL, [STUN], [UDP, TCP, TLS]],
  ['every URL twice', [...NEWEST, ...NEWEST], ALL, [STUN], [UDP, TCP, TLS]],
  ['no URL', [], ALL, [], []],
]

const PORT_53: Row[] = [
  ['STUN, TURN and TURNS on 53 go', ['stun:a:53', 'turn:a:53', 'turn:a:53?transport=tcp', 'turns:a:53'], ALL, [], []],
  ['53 with leading zeros goes', ['turn:a:053', 'turn:a:00053?transport=tcp'], ALL, [], []],
  ['53 goes where it is the only UDP', [UDP_53, TCP], ALL, [], [TCP]],
  ['5349 stays', ['turns:a:5349'], ALL, [], ['turns:a:5349']],
  ['5300 stays', ['turn:a:5300'], ALL, [], ['turn:a:5300']],
  ['53530 stays', ['turn:a:53530'], ALL, [], ['turn:a:53530']],
  ['153 stays', ['stun:a:153'], ALL, ['stun:a:153'], []],
  ['a host called 53 stays', ['turn:53.example:3478'], ALL, [], ['turn:53.example:3478']],
  ['a host that ends in 53 stays', ['turn:turn53'], ALL, [], ['turn:turn53']],
  ['an IPv6 address that ends in 53 stays', ['turn:[2001:db8::53]'], ALL, [], ['turn:[2001:db8::53]']],
]

const PREFERENCE: Row[] = [
  ['UDP: 3478 before 443', [UDP_443, UDP], only('udp'), [], [UDP]],
  ['UDP: 443 before any other', ['turn:a:5000', UDP_443], only('udp'), [], [UDP_443]],
  ['UDP: no transport means UDP, no port means 3478', [UDP_443, 'turn:a'], only('udp'), [], ['turn:a']],
  ['UDP: of two others, the first', ['turn:a:5000', 'turn:a:4000'], only('udp'), [], ['turn:a:5000']],
  ['TCP: 3478 before 80', [TCP_80, TCP], only('tcp'), [], [TCP]],
  ['TCP: 80 before 443', ['turn:a:443?transport=tcp', TCP_80], only('tcp'), [], [TCP_80]],
  ['TLS: 443 before 5349', [TLS_5349, TLS], only('tls'), [], [TLS]],
  ['TLS: 5349 before any other', ['turns:a:8443', TLS_5349], only('tls'), [], [TLS_5349]],
  ['TLS: no port means 5349', ['turns:a:8443', 'turns:a'], only('tls'), [], ['turns:a']],
  ['STUN: 3478 before any other', ['stun:a:19302', 'stun:a'], ALL, ['stun:a'], []],
]

const POLICY: Row[] = [
  ['only TCP', NEWEST, only('tcp'), [STUN], [TCP]],
  ['TLS before UDP, as the policy lists them', NEWEST, only('tls', 'udp'), [STUN], [TLS, UDP]],
  ['only TLS, and there is none', [STUN, UDP, TCP], only('tls'), [STUN], []],
  ['16 URLs at most', NEWEST, atMost(16), [STUN], [UDP, TCP, TLS]],
  ['4 URLs at most', NEWEST, atMost(4), [STUN], [UDP, TCP, TLS]],
  ['3 URLs at most: STUN makes room for TURN', NEWEST, atMost(3), [], [UDP, TCP, TLS]],
  ['2 URLs at most', NEWEST, atMost(2), [], [UDP, TCP]],
  ['1 URL at most, TLS first', NEWEST, atMost(1, 'tls', 'udp'), [], [TLS]],
  ['2 URLs at most, of one transport', NEWEST, atMost(2, 'udp'), [STUN], [UDP]],
]

const ODD: Row[] = [
  [
    'IPv6 addresses',
    ['stun:[::1]:3478', 'turn:[2001:db8::1]:3478?transport=udp', 'turns:[::ffff:192.0.2.1]:443'],
    ALL,
    ['stun:[::1]:3478'],
    ['turn:[2001:db8::1]:3478?transport=udp', 'turns:[::ffff:192.0.2.1]:443'],
  ],
  ['IPv4 addresses', ['turn:192.0.2.1:3478'], ALL, [], ['turn:192.0.2.1:3478']],
  ['TLS over UDP is no transport of ours', ['turns:a:443?transport=udp'], ALL, [], []],
  ['stuns is not given out', ['stuns:a:5349'], ALL, [], []],
  ['ports that are none', ['turn:a:65536', 'turn:a:99999?transport=tcp', 'turns:a:0', 'stun:a:00000'], ALL, [], []],
  ['the last port there is', ['turn:a:65535'], ALL, [], ['turn:a:65535']],
  [
    'garbage',
    [
      ...['', ' ', 'turn', 'turn:', 'turn::3478', 'turn:a:', 'turn:a:x', 'turn:a:-1', 'turn:a:123456', 'turn:a b'],
      ...['turn://a:3478', 'http://a', 'javascript:alert(1)', 'turn:u:p@a:3478', 'turn:a?transport=sctp', 'TURN:a'],
      ...['turn:a?transport=udp&x=1', 'turn:a?x=1', 'turn:a#b', 'turn:a/b', ' turn:a', 'turn:a\n', 'turn:a\nturn:b'],
      ...[
        'turn:[::1',
        'turn:[g::1]',
        `turn:${'a'.repeat(300)}`,
        'turn:bücher.example',
        'turn:a:34780000?transport=udp',
      ],
    ],
    ALL,
    [],
    [],
  ],
  ['garbage among the rest', ['junk', UDP_53, UDP, 'turn:', STUN], ALL, [STUN], [UDP]],
]

describe('the choice of ICE URLs', () => {
  it.each([
    ['One ICE URL is chosen for each transport, whichever list upstream sends', GENERATIONS],
    ['ICE URLs on port 53 are left out, and no other URL is mistaken for one', PORT_53],
    ['The ICE URL with the best port of its transport is chosen', PREFERENCE],
    ['The transports, the order and the number of ICE URLs follow the policy', POLICY],
    ['Malformed and unsupported ICE URLs are left out', ODD],
  ])('%s', (_, rows) => {
    const chosen = rows.map(([name, urls, policy]) => [name, chooseUrls(urls, policy)])
    expect(chosen).toEqual(rows.map(([name, , , stun, turn]) => [name, { stun, turn }]))
  })

  it('Choosing ICE URLs leaves the list from upstream unchanged', () => {
    const urls = Object.freeze([...NEWEST]) as string[]
    expect(chooseUrls(urls, ALL).turn).toHaveLength(3)
  })
})
