// The smallest TURN client (RFC 8656, UDP): what a TURN server answers to an allocation and to its refresh, as the number of
// the error. The clients from npm drop an error without integrity and wait for seconds. No assertions here.
import { createHash, createHmac, randomBytes } from 'node:crypto'
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'

const HOST = '127.0.0.1'
const DEADLINE_MS = 2_000
const COOKIE = Buffer.from('2112a442', 'hex')
const METHOD = { allocate: 0x0003, refresh: 0x0004 } as const
const ATTRIBUTE = { username: 0x06, integrity: 0x08, error: 0x09, realm: 0x14, nonce: 0x15, transport: 0x19 } as const
const UDP = Buffer.from([17, 0, 0, 0])
const HEADER_BYTES = 20
const INTEGRITY_BYTES = 24
const UNAUTHORIZED = 401
const STALE_NONCE = 438

type Method = keyof typeof METHOD
/** `granted`, or the number of the error. */
export type Verdict = 'granted' | number

export class TurnClient {
  readonly #login: { username: string; credential: string; port: number }
  readonly #socket: Socket = createSocket('udp4')
  #challenge: { realm: Buffer; nonce: Buffer } | undefined

  constructor(login: { username: string; credential: string; port: number }) {
    this.#login = login
  }

  allocate = (): Promise<Verdict> => this.#ask('allocate')
  refresh = (): Promise<Verdict> => this.#ask('refresh')

  close(): void {
    this.#socket.close()
  }

  /** Asks without a login where the server has not yet sent its realm and nonce, as every client does. */
  async #ask(method: Method): Promise<Verdict> {
    const wasChallenged = this.#challenge !== undefined
    const verdict = await this.#exchange(method)
    const isChallenge = verdict === STALE_NONCE || (verdict === UNAUTHORIZED && !wasChallenged)
    return isChallenge ? this.#exchange(method) : verdict
  }

  async #exchange(method: Method): Promise<Verdict> {
    this.#socket.send(this.#request(method), this.#login.port, HOST)
    const [answer] = (await once(this.#socket, 'message', { signal: AbortSignal.timeout(DEADLINE_MS) })) as [Buffer] // of dgram
    const attributes = attributesOf(answer)
    const [realm, nonce] = [attributes.get(ATTRIBUTE.realm), attributes.get(ATTRIBUTE.nonce)]
    if (realm && nonce) this.#challenge = { realm, nonce }
    const error = attributes.get(ATTRIBUTE.error)
    return error ? (error[2] ?? 0) * 100 + (error[3] ?? 0) : 'granted'
  }

  #request(method: Method): Buffer {
    const transport = method === 'allocate' ? [attribute(ATTRIBUTE.transport, UDP)] : []
    const id = randomBytes(12)
    if (!this.#challenge) return message(METHOD[method], id, transport)
    const { realm, nonce } = this.#challenge
    const { username, credential } = this.#login
    const named = [
      ...transport,
      attribute(ATTRIBUTE.username, Buffer.from(username)),
      attribute(ATTRIBUTE.realm, realm),
      attribute(ATTRIBUTE.nonce, nonce),
    ]
    const key = createHash('md5').update(`${username}:${realm}:${credential}`).digest()
    const signed = message(METHOD[method], id, named, INTEGRITY_BYTES)
    const integrity = attribute(ATTRIBUTE.integrity, createHmac('sha1', key).update(signed).digest())
    return message(METHOD[method], id, [...named, integrity])
  }
}

/** `moreBytes`: of attributes that are counted and not yet there. */
function message(type: number, id: Buffer, attributes: Buffer[], moreBytes = 0): Buffer {
  const body = Buffer.concat(attributes)
  const head = Buffer.alloc(4)
  head.writeUInt16BE(type, 0)
  head.writeUInt16BE(body.length + moreBytes, 2)
  return Buffer.concat([head, COOKIE, id, body])
}

const padded = (length: number): number => Math.ceil(length / 4) * 4

function attribute(type: number, value: Buffer): Buffer {
  const all = Buffer.alloc(4 + padded(value.length))
  all.writeUInt16BE(type, 0)
  all.writeUInt16BE(value.length, 2)
  value.copy(all, 4)
  return all
}

function attributesOf(answer: Buffer): Map<number, Buffer> {
  const found = new Map<number, Buffer>()
  for (let at = HEADER_BYTES; at + 4 <= answer.length; ) {
    const length = answer.readUInt16BE(at + 2)
    found.set(answer.readUInt16BE(at), answer.subarray(at + 4, at + 4 + length))
    at += 4 + padded(length)
  }
  return found
}
