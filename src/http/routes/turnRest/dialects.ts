/**
 * One credential in the dialects of media servers and clients. Pure: a renderer takes an issued credential and answers a body with
 * its content type. docs/integrations.md says which client reads which dialect.
 */
import type { SelkiesAnswer, TurnRestAnswer, TurnRestFormat } from '../../../contract/resources/credentials.ts'
import { instant, secondsLeft } from '../../../contract/values.ts'
import type { Issued } from '../../../rpc/issuing.ts'

export interface Rendered {
  readonly contentType: string
  readonly body: string
}

export type Issue = Pick<Issued, 'username' | 'credential' | 'urls' | 'expiresAt'>

/** `now`: milliseconds since 1970. */
type Renderer = (issued: Issue, now: number) => Rendered

const json =
  (of: (issued: Issue, now: number) => object): Renderer =>
  (issued, now) => ({ contentType: 'application/json', body: JSON.stringify(of(issued, now)) })

const textLines =
  (of: (issued: Issue) => string[]): Renderer =>
  (issued) => ({ contentType: 'text/plain; charset=utf-8', body: `${of(issued).join('\n')}\n` })

const turnRest = json(
  ({ username, credential: password, expiresAt, urls }, now): TurnRestAnswer => ({
    username,
    password,
    ttl: secondsLeft(expiresAt, now),
    uris: urls.turn,
  }),
)

const iceServers = ({ urls: { stun, turn }, username, credential }: Issue) => [
  ...(stun.length > 0 ? [{ urls: stun }] : []),
  { urls: turn, username, credential },
]

export const DIALECTS: Readonly<Record<TurnRestFormat, Renderer>> = {
  uberti: turnRest,
  rtc: json((issued) => ({ iceServers: iceServers(issued) })),
  'ice-servers': json(iceServers),
  // The specification of Matrix has the four fields of draft-uberti.
  matrix: turnRest,
  'xep-0215': (issued) => ({ contentType: 'application/xml', body: servicesOf(issued) }),
  link: textLines(({ urls: { stun, turn }, username, credential }) => {
    const login = `; username=${quoted(username)}; credential=${quoted(credential)}; credential-type="password"`
    return [...stun, ...turn].map((url) => `Link: <${url}>; rel="ice-server"${url.startsWith('stun') ? '' : login}`)
  }),
  selkies: json(
    (issued, now): SelkiesAnswer => ({
      lifetimeDuration: `${secondsLeft(issued.expiresAt, now)}s`,
      iceServers: iceServers(issued),
      blockStatus: 'NOT_BLOCKED',
      iceTransportPolicy: 'all',
    }),
  ),
  uri: textLines(({ urls, username, credential }) =>
    urls.turn.map((url) =>
      url.replace(':', () => `://${encodeURIComponent(username)}:${encodeURIComponent(credential)}@`),
    ),
  ),
}

/** A quoted-string of RFC 9110 §5.6.4. */
const quoted = (text: string): string => `"${text.replace(/["\\]/g, '\\$&')}"`

/** Parts of a STUN or TURN URI (RFC 7064, RFC 7065) that cloudflare/iceUrls.ts has chosen. */
const URI = /^(\w+):\[?([^?[\]]+?)\]?(?::(\d+))?(?:\?transport=(\w+))?$/

/** XEP-0215 §3.2. A host that is an IPv6 address stands without brackets. */
function servicesOf({ urls: { stun, turn }, username, credential: password, expiresAt }: Issue): string {
  const services = [...stun, ...turn].map((url) => {
    const [, type = '', host = '', port, transport] = URI.exec(url) ?? []
    const isTls = type.endsWith('s')
    const login = type.startsWith('stun') ? {} : { username, password, expires: instant(expiresAt) }
    const service = {
      type,
      host,
      port: port ?? (isTls ? '5349' : '3478'),
      transport: transport ?? (isTls ? 'tcp' : 'udp'),
      ...login,
    }
    return `<service${Object.entries(service)
      .map(([name, value]) => ` ${name}="${escaped(value)}"`)
      .join('')}/>`
  })
  return `<services xmlns="urn:xmpp:extdisco:2">${services.join('')}</services>`
}

/** An attribute's value. What is not ASCII is a character reference too, so no encoding has to be said. */
const escaped = (text: string): string =>
  text.replace(/[^ -~]|[&<>"']/gu, (character) => `&#${character.codePointAt(0)};`)
