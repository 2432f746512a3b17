// A tenant of the benchmark, set up through the doors as any operator does, and its requests.
import type { Ask, Contender } from '../load/drive.ts'
import type { PlainBroker } from '../runtime/broker.ts'

/** Stated with the results. */
export const POLICY = {
  maxLiveCredentials: 1_000_000,
  maxLiveCredentialsPerSubject: 20,
  maxMintsPerMinute: 100_000,
  maxApiCallsPer5Min: 600,
  reuse: true,
  defaultTtl: 3_600,
} as const

export class BenchTenant {
  readonly id: string
  readonly keyUid: string
  readonly #broker: PlainBroker
  readonly #tokenId: string
  #subjects = 0

  private constructor(
    broker: PlainBroker,
    of: { readonly id: string; readonly keyUid: string; readonly tokenId: string },
  ) {
    this.#broker = broker
    this.id = of.id
    this.keyUid = of.keyUid
    this.#tokenId = of.tokenId
  }

  static async create(broker: PlainBroker, id: string, policy: object = {}): Promise<BenchTenant> {
    await broker.ask('/v1/admin/tenants', { id, name: 'Benchmark', region: 'weur', policy: { ...POLICY, ...policy } })
    const created = await broker.ask(`/client/v4/accounts/${id}/calls/turn_keys`, { name: 'benchmark' })
    const { uid } = created.result as { uid: string } // as the contract has it
    const order = { name: 'back end', scopes: ['client_tokens:create', 'credentials:issue'] }
    const token = await broker.ask(`/v1/admin/tenants/${id}/api-tokens`, order)
    return new BenchTenant(broker, { id, keyUid: uid, tokenId: String(token.id) })
  }

  /** Client tokens, each of a subject that never asked before. */
  async clientTokens(count: number): Promise<string[]> {
    const subjects = Array.from({ length: count }, () => `subject-${this.#subjects++}`)
    const body = JSON.stringify({ tenant: this.id, tokenId: this.#tokenId, subjects })
    const signed = await fetch(this.#broker.signerUrl ?? '', { method: 'POST', body })
    if (!signed.ok) throw new Error(`signer: ${signed.status}`)
    return (await signed.json()) as string[] // bench/workers/signer.ts writes it
  }

  async clientToken(): Promise<string> {
    return (await this.clientTokens(1))[0] ?? ''
  }

  async apiToken(scopes: readonly string[]): Promise<string> {
    const order = { name: 'benchmark', scopes }
    return String((await this.#broker.ask(`/v1/admin/tenants/${this.id}/api-tokens`, order)).token)
  }

  /** ICE servers at the browser door, as the library asks for them: a form, no preflight. */
  iceServers(clientToken: string, ttl?: number): Ask {
    return {
      method: 'POST',
      path: this.#door,
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: `access_token=${clientToken}${ttl === undefined ? '' : `&ttl=${ttl}`}`,
    }
  }

  /** The same with the token in a header. */
  iceServersByHeader(clientToken: string): Ask {
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${clientToken}` }
    return { method: 'POST', path: this.#door, headers, body: '{}' }
  }

  get #door(): string {
    return `/v1/tenants/${this.id}/ice-servers`
  }
}

/** First mints: each request is of a new subject. `perRound`: how many client tokens are ready when a round begins. */
export function firstMints(
  broker: PlainBroker,
  { name, tenants, perRound }: { name: string; tenants: readonly BenchTenant[]; perRound: number },
): Contender {
  const ready: Ask[] = []
  return {
    name,
    url: broker.url,
    get pid() {
      return broker.pid
    },
    expects: 201,
    prepare: async () => {
      const each = Math.ceil((perRound - ready.length) / tenants.length)
      const orders = await Promise.all(
        tenants.map(async (tenant) => (await tenant.clientTokens(each)).map((token) => tenant.iceServers(token))),
      )
      // Of each tenant one in turn.
      for (let n = 0; n < each; n++) for (const asks of orders) ready.push(...asks.slice(n, n + 1))
    },
    next: () => ready.shift(),
  }
}

/** A request that is always the same; a list of them in turn. */
export function always(of: Omit<Contender, 'next'>, asks: readonly Ask[]): Contender {
  let turn = 0
  return { ...of, next: () => asks[turn++ % asks.length] }
}
