// What the probe asks of the broker, as a tenant's back end does.
import { type ProbeOptions, Refusal } from './options.ts'
import { parseTurnUrl, type TurnAddress } from './transports.ts'
import type { Login } from './turnClient.ts'

const ANSWER_MS = 30_000

/** A credential with the TURN servers that came with it. */
export interface Minted extends Login {
  readonly turn: readonly TurnAddress[]
  /** By this machine's clock, in milliseconds since 1970: a little late rather than early. */
  readonly expiresAt: number
}

interface IceServers {
  readonly iceServers: readonly {
    readonly urls: readonly string[]
    readonly username?: string
    readonly credential?: string
  }[]
}

export class BrokerApi {
  readonly #options: ProbeOptions

  constructor(options: ProbeOptions) {
    this.#options = options
  }

  /** The uid of the key to mint with. Throws `Refusal` when the tenant has none. */
  async key(): Promise<string> {
    if (this.#options.key !== undefined) return this.#options.key
    const { result } = await this.#ask<{ result: readonly { uid: string }[] }>('GET', this.#keys())
    const [first] = result
    if (!first)
      throw new Refusal(`The tenant ${this.#options.tenant} has no TURN key: create one, or name one with --key.`)
    return first.uid
  }

  async mint(key: string, ttl: number): Promise<Minted> {
    const path = `/v1/turn/keys/${key}/credentials/generate-ice-servers`
    const { iceServers } = await this.#ask<IceServers>('POST', path, { ttl })
    const expiresAt = Date.now() + ttl * 1_000
    const relay = iceServers.find(({ username }) => username !== undefined)
    const turn = (relay?.urls ?? []).map(parseTurnUrl).filter((address) => address !== undefined)
    return { username: relay?.username ?? '', credential: relay?.credential ?? '', turn, expiresAt }
  }

  revoke(key: string, username: string): Promise<unknown> {
    return this.#ask('POST', `/v1/turn/keys/${key}/credentials/${encodeURIComponent(username)}/revoke`)
  }

  async createKey(name: string): Promise<string> {
    return (await this.#ask<{ result: { uid: string } }>('POST', this.#keys(), { name })).result.uid
  }

  deleteKey(key: string): Promise<unknown> {
    return this.#ask('DELETE', `${this.#keys()}/${key}`)
  }

  #keys(): string {
    return `/client/v4/accounts/${this.#options.tenant}/calls/turn_keys`
  }

  /** Throws `Refusal` with the broker's own words when it does not answer 2xx. The token is in no text. */
  async #ask<T>(method: string, path: string, body?: object): Promise<T> {
    const { url, token } = this.#options
    const asked = `${method} ${path}`
    const answer = await fetch(`${url}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, ...(body ? { 'content-type': 'application/json' } : {}) },
      ...(body ? { body: JSON.stringify(body) } : {}),
      redirect: 'manual',
      signal: AbortSignal.timeout(ANSWER_MS),
    }).catch((error: unknown) => {
      throw new Refusal(`${asked}: no answer of ${url} (${causeOf(error)}).`)
    })
    const text = await answer.text()
    if (!answer.ok) throw new Refusal(`${asked}: ${answer.status} ${text.slice(0, 500)}`)
    return (text === '' ? undefined : JSON.parse(text)) as T // as the API documents it
  }
}

const causeOf = (error: unknown): string =>
  error instanceof Error ? (error.cause instanceof Error ? error.cause.message : error.message) : String(error)
