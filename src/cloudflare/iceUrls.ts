/**
 * Chooses the ICE server URLs that a tenant's users get, out of upstream's list. Pure. Never port 53: browsers block it,
 * and it delays clients without trickle ICE. One STUN URL and one TURN URL for each transport of the policy, because long
 * lists slow ICE gathering down. URLs are matched by pattern, because upstream's list changes.
 */

export type Transport = 'udp' | 'tcp' | 'tls'

export interface UrlPolicy {
  readonly transports: readonly Transport[]
  /** Maximum number of URLs, STUN and TURN together; `null`: one for each transport and one STUN URL. */
  readonly maxUrls: number | null
}

export interface ChosenUrls {
  readonly stun: string[]
  readonly turn: string[]
}

/** RFC 7064 and RFC 7065, with a host name or an IPv4 address. */
const URL_SHAPE =
  /^(stuns?|turns?):([A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{1,5}))?(?:\?transport=(udp|tcp))?$/
const BLOCKED_PORT = 53
/** One URL with a port above this makes `new RTCPeerConnection()` throw, which loses the whole list. */
const LAST_PORT = 65_535

/** Preferred ports, best first. Any other port ranks after them. */
const PREFERRED_PORTS: Readonly<Record<Transport | 'stun', readonly number[]>> = {
  stun: [3478],
  udp: [3478, 443],
  tcp: [3478, 80],
  tls: [443, 5349],
}

interface IceUrl {
  readonly url: string
  readonly kind: Transport | 'stun'
  readonly port: number
}

export function chooseUrls(urls: readonly string[], policy: UrlPolicy): ChosenUrls {
  const usable = urls.map(parse).filter((url) => url !== undefined && isUsable(url.port)) as IceUrl[] // undefined is filtered out
  const turn = policy.transports.flatMap((transport) => best(usable, transport))
  const stun = best(usable, 'stun')
  const room = policy.maxUrls ?? Number.POSITIVE_INFINITY
  const givenTurn = turn.slice(0, room)
  return { stun: stun.slice(0, room - givenTurn.length), turn: givenTurn }
}

const isUsable = (port: number): boolean => port > 0 && port <= LAST_PORT && port !== BLOCKED_PORT

function best(urls: readonly IceUrl[], kind: IceUrl['kind']): string[] {
  const preferred = PREFERRED_PORTS[kind]
  const rank = ({ port }: IceUrl) => (preferred.includes(port) ? preferred.indexOf(port) : preferred.length)
  const [first] = urls.filter((url) => url.kind === kind).sort((a, b) => rank(a) - rank(b))
  return first ? [first.url] : []
}

function parse(url: string): IceUrl | undefined {
  const [, scheme, , port, transport] = URL_SHAPE.exec(url) ?? []
  if (scheme === undefined) return
  if (scheme === 'stun') return { url, kind: 'stun', port: Number(port ?? 3478) }
  if (scheme === 'turn') return { url, kind: transport ?? 'udp', port: Number(port ?? 3478) } as IceUrl // udp or tcp by the pattern
  if (scheme === 'turns' && transport !== 'udp') return { url, kind: 'tls', port: Number(port ?? 5349) }
  return
}
