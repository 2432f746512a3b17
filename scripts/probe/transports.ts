// How STUN messages reach a TURN server: datagrams (RFC 8489 §6.2.1), or a byte stream over TCP or TLS (§6.2.2), in which each message
// is as long as its header says.
import { createSocket } from 'node:dgram'
import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'

const HEADER_BYTES = 20
const CONNECT_MS = 5_000

export type TransportName = 'udp' | 'tcp' | 'tls'

export interface Transport {
  /** Whether a message can be lost on the way: then requests are repeated. */
  readonly loses: boolean
  send(message: Buffer): void
  /** Called with each message that comes. */
  onMessage(listener: (message: Buffer) => void): void
  close(): void
}

/** A TURN URL (RFC 7065), taken apart. */
export interface TurnAddress {
  readonly url: string
  readonly host: string
  readonly port: number
  readonly transport: TransportName
}

/** `undefined`: no `turn:` or `turns:` URL, or one of DTLS, which no browser uses. */
export function parseTurnUrl(url: string): TurnAddress | undefined {
  const parts = /^(turns?):(\[[0-9a-f:]+\]|[^:?]+)(?::(\d+))?(?:\?transport=(udp|tcp))?$/i.exec(url)
  if (!parts) return
  const [, scheme = '', host = '', port, over] = parts
  const isTls = scheme.toLowerCase() === 'turns'
  if (isTls && over === 'udp') return
  return {
    url,
    host: host.replace(/^\[|\]$/g, ''),
    port: Number(port ?? (isTls ? 5_349 : 3_478)),
    transport: isTls ? 'tls' : over === 'tcp' ? 'tcp' : 'udp',
  }
}

/** Rejects when there is no connection within 5 s. `ca`: a certificate that is trusted besides those of Node. */
export function openTransport({ host, port, transport }: TurnAddress, ca?: string): Promise<Transport> {
  return transport === 'udp' ? overUdp(host, port) : overStream(transport, { host, port, ca })
}

async function overUdp(host: string, port: number): Promise<Transport> {
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4')
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject)
    socket.connect(port, host, resolve)
  })
  // A refused datagram is as a lost one: the request ends by its deadline.
  socket.on('error', () => undefined)
  return {
    loses: true,
    send: (message) => socket.send(message),
    onMessage: (listener) => void socket.on('message', listener),
    close: () => socket.close(),
  }
}

async function overStream(
  transport: 'tcp' | 'tls',
  { host, port, ca }: { readonly host: string; readonly port: number; readonly ca: string | undefined },
): Promise<Transport> {
  const socket =
    transport === 'tcp'
      ? connectTcp({ host, port })
      : connectTls({ host, port, servername: /[a-z]/i.test(host) ? host : '', ...(ca === undefined ? {} : { ca }) })
  await opened(socket, transport === 'tcp' ? 'connect' : 'secureConnect')
  socket.on('error', () => undefined)
  let listener: (message: Buffer) => void = () => undefined
  let rest = Buffer.alloc(0)
  socket.on('data', (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk])
    for (let length = lengthOf(rest); rest.length >= length; length = lengthOf(rest)) {
      listener(rest.subarray(0, length))
      rest = rest.subarray(length)
    }
  })
  return {
    loses: false,
    send: (message) => void socket.write(message),
    onMessage: (given) => {
      listener = given
    },
    close: () => socket.destroy(),
  }
}

/** Of the message that begins here; more than there is while its header is not there. */
const lengthOf = (bytes: Buffer): number =>
  bytes.length < HEADER_BYTES ? Number.POSITIVE_INFINITY : HEADER_BYTES + bytes.readUInt16BE(2)

function opened(socket: Socket, event: 'connect' | 'secureConnect'): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => socket.destroy(new Error(`no connection within ${CONNECT_MS} ms`)), CONNECT_MS)
    socket.once(event, () => {
      clearTimeout(timer)
      resolve()
    })
    socket.once('error', (error) => {
      clearTimeout(timer)
      reject(error)
    })
  })
}
