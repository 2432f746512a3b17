// A client of XMPP (RFC 6120) that logs in as nobody and sends one query at a time. As much as a test needs. No assertions here.
import { createConnection, type Socket } from 'node:net'

const ANSWER_MS = 10_000

export class XmppClient {
  readonly #socket: Socket
  readonly #domain: string
  #text = ''
  #ids = 0

  constructor(port: number, domain: string) {
    this.#domain = domain
    this.#socket = createConnection({ port, host: '127.0.0.1' })
    this.#socket.setEncoding('utf8')
    this.#socket.on('data', (text: string) => {
      this.#text += text
    })
    this.#socket.on('error', () => undefined) // what is waited for does not come then
  }

  /** SASL ANONYMOUS (RFC 4505), and a resource of the server's choice. */
  async login(): Promise<void> {
    const open = `<stream:stream to="${this.#domain}" xmlns="jabber:client" xmlns:stream="http://etherx.jabber.org/streams" version="1.0">`
    await this.#exchange(open, /<\/stream:features>/)
    await this.#exchange('<auth xmlns="urn:ietf:params:xml:ns:xmpp-sasl" mechanism="ANONYMOUS"/>', /<success/)
    await this.#exchange(open, /<\/stream:features>/)
    await this.ask('<bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"/>', 'set')
  }

  /** The whole `<iq>` that answers. */
  async ask(payload: string, type: 'get' | 'set' = 'get'): Promise<string> {
    const id = `q${++this.#ids}`
    const iq = `<iq type="${type}" id="${id}"${type === 'get' ? ` to="${this.#domain}"` : ''}>${payload}</iq>`
    return this.#exchange(iq, new RegExp(`<iq[^>]* id=['"]${id}['"][\\s\\S]*?</iq>`))
  }

  close(): void {
    this.#socket.destroy()
  }

  /** Sends, and resolves with what arrives and fits. */
  async #exchange(xml: string, pattern: RegExp): Promise<string> {
    this.#text = ''
    this.#socket.write(xml)
    const deadline = Date.now() + ANSWER_MS
    while (Date.now() < deadline) {
      const found = pattern.exec(this.#text)
      if (found) return found[0]
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    throw new Error(`no ${pattern} came to ${xml}: ${this.#text}`)
  }
}
