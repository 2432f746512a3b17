// What the demo page's buttons do, by the three who may do it: the tenant's back end with its API token, the operator with the
// admin token, and the emulator's control routes in Cloudflare's place. No token leaves this file.
import { EmulatorControl } from '../../../emulator/client.ts'
import { type Answer, send } from '../ask.ts'

const SUBJECT = 'demo visitor'
const CLIENT_TOKEN_SECONDS = 120
/** Short, so that a visitor sees a renewal after half of it. */
const CREDENTIAL_SECONDS = 60
const BAN_MS = 3_600_000
const UPSTREAM_BREAKS_MS = 30_000
const BANS_LISTED = 100

export const ACTIONS = ['revoke', 'ban', 'lift', 'suspend', 'resume', 'break-upstream'] as const
export type Action = (typeof ACTIONS)[number]

const LEADS_TO: Partial<Record<Action, Partial<Circumstances>>> = {
  ban: { banned: true },
  lift: { banned: false },
  suspend: { suspended: true },
  resume: { suspended: false },
}

export interface BackEndOptions {
  readonly brokerUrl: string
  readonly emulatorUrl: string
  readonly tenant: string
  readonly apiToken: string
  readonly adminToken: string
}

/** As the page is shown it. */
export interface Circumstances {
  banned: boolean
  suspended: boolean
  /** Until when Cloudflare's API fails, like `Date.now()`; 0: it does not. */
  upstreamFailsUntil: number
}

/** What an action answers: the broker's status, and how many credentials a revocation matched. */
export interface Outcome extends Circumstances {
  status: number
  code: string | null
  matched: number | null
}

export class BackEnd {
  readonly #options: BackEndOptions
  readonly #emulator: EmulatorControl
  #upstreamFailsUntil = 0
  #known = { banned: false, suspended: false }

  constructor(options: BackEndOptions) {
    this.#options = options
    this.#emulator = new EmulatorControl(options.emulatorUrl)
  }

  /** A client token for the visitor, as any tenant's back end gives one to its user. */
  clientToken(): Promise<Answer> {
    const body = { subject: SUBJECT, ttl: CLIENT_TOKEN_SECONDS, credentialTtl: CREDENTIAL_SECONDS }
    return this.#asTenant('POST', '/client-tokens', body)
  }

  /** Asks the broker, so that what was done elsewhere or in an earlier run counts too. */
  async circumstances(): Promise<Circumstances> {
    const [tenant, bans] = await Promise.all([this.#asOperator('GET'), this.#openBans()])
    this.#known = { banned: bans.length > 0, suspended: tenant.body.status === 'suspended' }
    return this.#circumstances()
  }

  async act(action: Action): Promise<Outcome> {
    const { status, body } = await this.#carryOut(action)
    if (status < 400) this.#known = { ...this.#known, ...LEADS_TO[action] }
    return {
      status,
      code: typeof body.code === 'string' ? body.code : null,
      matched: typeof body.matched === 'number' ? body.matched : null,
      ...this.#circumstances(),
    }
  }

  #circumstances(): Circumstances {
    const fails = this.#upstreamFailsUntil > Date.now()
    return { ...this.#known, upstreamFailsUntil: fails ? this.#upstreamFailsUntil : 0 }
  }

  async #carryOut(action: Action): Promise<Answer> {
    switch (action) {
      case 'revoke':
        return this.#asTenant('POST', '/revocations', { subject: SUBJECT })
      case 'ban': {
        const banUntil = new Date(Date.now() + BAN_MS).toISOString()
        return this.#asTenant('POST', '/revocations', { subject: SUBJECT, banUntil })
      }
      case 'lift': {
        const lifted = await Promise.all(
          (await this.#openBans()).map((id) => this.#asTenant('POST', `/bans/${id}/lift`)),
        )
        return lifted.find(({ status }) => status >= 400) ?? { status: 200, body: {} }
      }
      case 'suspend':
        return this.#asOperator('PATCH', { status: 'suspended' })
      case 'resume':
        return this.#asOperator('PATCH', { status: 'active' })
      case 'break-upstream':
        await this.#emulator.fault({
          operation: '*',
          fault: { kind: 'status', status: 503 },
          times: 'always',
          forMs: UPSTREAM_BREAKS_MS,
        })
        this.#upstreamFailsUntil = Date.now() + UPSTREAM_BREAKS_MS
        return { status: 204, body: {} }
    }
  }

  /** Ids of the visitor's bans that are in force. */
  async #openBans(): Promise<string[]> {
    const found = await this.#asTenant('POST', '/subjects/search', { subject: SUBJECT })
    if (found.status !== 200) return []
    const { body } = await this.#asTenant('GET', `/bans?limit=${BANS_LISTED}`)
    const bans = (body.items ?? []) as {
      id: string
      subjectId: string | null
      until: string
      liftedAt: string | null
    }[] // of the contract
    return bans
      .filter(
        ({ subjectId, until, liftedAt }) =>
          subjectId === found.body.subjectId && !liftedAt && Date.parse(until) > Date.now(),
      )
      .map(({ id }) => id)
  }

  #asTenant(method: 'GET' | 'POST', route: string, body?: object): Promise<Answer> {
    const { brokerUrl, tenant, apiToken } = this.#options
    const url = `${brokerUrl}/v1/tenants/${tenant}${route}`
    return send({ method, url, bearer: apiToken, ...(body === undefined ? {} : { body }) })
  }

  #asOperator(method: 'GET' | 'PATCH', body?: object): Promise<Answer> {
    const { brokerUrl, tenant, adminToken } = this.#options
    const url = `${brokerUrl}/v1/admin/tenants/${tenant}`
    return send({ method, url, bearer: adminToken, ...(body === undefined ? {} : { body }) })
  }
}
