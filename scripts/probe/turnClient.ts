// A TURN client (RFC 8656) with what a probe needs: allocate, refresh, permit a peer, send and receive by indications. Messages are
// written and read by werift.
import { createHash, randomBytes } from 'node:crypto'
import { classes, Message, methods, parseMessage } from 'werift'
import { openTransport, type Transport, type TurnAddress } from './transports.ts'

const REQUEST_MS = 5_000
/** Over UDP a request is repeated after 0.5, 1 and 2 s (RFC 8489 §6.2.1). */
const FIRST_REPEAT_MS = 500
const UDP_RELAY = 0x11_00_00_00
const STALE_NONCE = 438
const UNAUTHORIZED = 401

export interface Login {
  readonly username: string
  readonly credential: string
}

type Peer = readonly [host: string, port: number]

/** The server's answer to a request: an error code of STUN, or that none came. */
export class TurnRefusal extends Error {
  /** RFC 8656 §19; `undefined`: there was no answer in time. */
  readonly code: number | undefined

  constructor(code: number | undefined, reason: string) {
    super(code === undefined ? reason : `${code} ${reason}`)
    this.code = code
  }
}

export class TurnClient {
  readonly #transport: Transport
  readonly #login: Login
  readonly #waiting = new Map<string, (answer: Message) => void>()
  #realm = ''
  #nonce = Buffer.alloc(0)
  #onData: (from: Peer, data: Buffer) => void = () => undefined

  /** Connects. Rejects with the error of the connection. */
  static async open(address: TurnAddress, login: Login, ca?: string): Promise<TurnClient> {
    return new TurnClient(await openTransport(address, ca), login)
  }

  private constructor(transport: Transport, login: Login) {
    this.#transport = transport
    this.#login = login
    transport.onMessage((bytes) => this.#received(bytes))
  }

  /** The relayed address. Throws `TurnRefusal`. */
  async allocate(): Promise<Peer> {
    const answer = await this.#request(methods.ALLOCATE, (message) =>
      message.setAttribute('REQUESTED-TRANSPORT', UDP_RELAY),
    )
    return answer.getAttributeValue('XOR-RELAYED-ADDRESS') as Peer // what werift makes of that attribute
  }

  /** Keeps the allocation, or ends it with 0 seconds. Throws `TurnRefusal`. */
  async refresh(seconds: number): Promise<void> {
    await this.#request(methods.REFRESH, (message) => message.setAttribute('LIFETIME', seconds))
  }

  /** Lets a peer send to the relayed address. Throws `TurnRefusal`. */
  async permit(peer: Peer): Promise<void> {
    await this.#request(methods.CREATE_PERMISSION, (message) => message.setAttribute('XOR-PEER-ADDRESS', peer))
  }

  send(peer: Peer, data: Buffer): void {
    const message = new Message(methods.SEND, classes.INDICATION)
    message.setAttribute('XOR-PEER-ADDRESS', peer).setAttribute('DATA', data)
    this.#transport.send(message.bytes)
  }

  onData(listener: (from: Peer, data: Buffer) => void): void {
    this.#onData = listener
  }

  /** Ends the allocation if the server still lets it, and the connection. */
  async close(): Promise<void> {
    await this.refresh(0).catch(() => undefined)
    this.#transport.close()
  }

  /** The first request of a session is answered 401 with realm and nonce (RFC 8489 §9.2.5), a stale nonce 438 with a new one. */
  async #request(method: methods, fill: (message: Message) => unknown): Promise<Message> {
    for (let attempt = 0; ; attempt++) {
      const answer = await this.#exchange(method, fill)
      if (answer.messageClass !== classes.ERROR) return answer
      const [code, reason] = answer.getAttributeValue('ERROR-CODE') as [number, string] // what werift makes of that attribute
      const asksAgain = code === STALE_NONCE || (code === UNAUTHORIZED && this.#realm === '')
      if (!asksAgain || attempt === 2) throw new TurnRefusal(code, reason)
      this.#realm = String(answer.getAttributeValue('REALM') ?? this.#realm)
      this.#nonce = answer.getAttributeValue('NONCE') ?? this.#nonce
    }
  }

  #exchange(method: methods, fill: (message: Message) => unknown): Promise<Message> {
    const request = new Message(method, classes.REQUEST, randomBytes(12))
    fill(request)
    if (this.#realm !== '') {
      const { username, credential } = this.#login
      request.setAttribute('USERNAME', username).setAttribute('REALM', this.#realm).setAttribute('NONCE', this.#nonce)
      request.addMessageIntegrity(createHash('md5').update(`${username}:${this.#realm}:${credential}`).digest())
    }
    const bytes = request.bytes
    const id = request.transactionId.toString('hex')
    return new Promise((resolve, reject) => {
      const repeats = this.#transport.loses ? [1, 3, 7].map((times) => times * FIRST_REPEAT_MS) : []
      const timers = repeats.map((ms) => setTimeout(() => this.#transport.send(bytes), ms))
      const done = () => {
        for (const timer of timers) clearTimeout(timer)
        this.#waiting.delete(id)
      }
      timers.push(
        setTimeout(() => {
          done()
          reject(new TurnRefusal(undefined, `no answer within ${REQUEST_MS} ms`))
        }, REQUEST_MS),
      )
      this.#waiting.set(id, (answer) => {
        done()
        resolve(answer)
      })
      this.#transport.send(bytes)
    })
  }

  #received(bytes: Buffer): void {
    const message = parseMessage(bytes)
    if (!message) return
    if (message.messageMethod === methods.DATA && message.messageClass === classes.INDICATION)
      this.#onData(message.getAttributeValue('XOR-PEER-ADDRESS'), message.getAttributeValue('DATA'))
    else this.#waiting.get(message.transactionId.toString('hex'))?.(message)
  }
}
