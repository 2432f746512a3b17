/** The broker as its users reach it: HTTP into the real app in workerd. Every answer is checked against the contract. */
import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { createApp } from '../../../src/app.ts'
import type { Scope } from '../../../src/contract/scopes.ts'
import type { Answer } from './answer.ts'
import { breachesOf } from './contract.ts'

export const ORIGIN = 'https://broker.test'

/** Fresh per call of `newBroker`, so that nothing remembered at the edge leaks between tests. */
export type Broker = ReturnType<typeof newBroker>

/** `answered` is called with each answer; `send` and what rests on it also wait for what the Worker goes on with afterwards. */
export function newBroker(overrides: object = {}, answered: () => void = () => undefined) {
  const app = createApp()
  const bindings = { ...env, ...overrides } as Env // tests also pass broken environments

  async function send(path: string, init: RequestInit = {}): Promise<Answer> {
    const ctx = createExecutionContext()
    const url = path.startsWith('http') ? path : ORIGIN + path
    const response = await app.fetch(new Request(url, init), bindings, ctx)
    const text = await response.text()
    answered()
    await waitOnExecutionContext(ctx)
    const isJson = /json/.test(response.headers.get('content-type') ?? '')
    const json = isJson && text ? JSON.parse(text) : undefined
    const answer = { status: response.status, headers: response.headers, text, json }
    const { method = 'GET', body, headers } = init
    const contentType = new Headers(headers).get('content-type')
    const breaches = breachesOf({ method, url, body, contentType }, answer)
    if (breaches.length > 0) throw new Error(`the contract is broken: ${breaches.join('; ')}`)
    return answer
  }

  const call = (
    method: string,
    path: string,
    token: string | undefined,
    body?: unknown,
    headers: Record<string, string> = {},
  ) =>
    send(path, {
      method,
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })

  const admin = (method: string, path: string, body?: unknown, headers?: Record<string, string>) =>
    call(method, `/v1/admin${path}`, env.ADMIN_TOKEN, body, headers)

  return { send, call, admin }
}

/** A tenant as an operator sets one up, and a token with these scopes. Throws with the answer when it does not work. */
export async function newTenant(
  broker: Broker,
  id: string,
  options: { scopes?: Scope[]; policy?: object } = {},
): Promise<{ id: string; token: string; tokenId: string }> {
  const policy = options.policy ? { policy: options.policy } : {}
  expectStatus(await broker.admin('POST', '/tenants', { id, name: `Tenant ${id}`, region: 'weur', ...policy }), 201)
  return { id, ...(await newToken(broker, id, options.scopes ?? ['turn_keys:read', 'turn_keys:write'])) }
}

export async function newToken(broker: Broker, tenant: string, scopes: Scope[], expiresAt?: string) {
  const body = { name: 'test', scopes, ...(expiresAt ? { expiresAt } : {}) }
  const answer = await broker.admin('POST', `/tenants/${tenant}/api-tokens`, body)
  expectStatus(answer, 201)
  return { token: String(answer.json.token), tokenId: String(answer.json.id) }
}

export const keysPath = (tenant: string, uid?: string): string =>
  `/client/v4/accounts/${tenant}/calls/turn_keys${uid === undefined ? '' : `/${uid}`}`

/** Creates a TURN key and returns its uid. */
export async function newTurnKey(
  broker: Broker,
  tenant: { id: string; token: string },
  name = 'first',
): Promise<string> {
  const answer = await broker.call('POST', keysPath(tenant.id), tenant.token, { name })
  expectStatus(answer, 201)
  return String(answer.json.result.uid)
}

export function expectStatus(answer: Answer, status: number): void {
  if (answer.status !== status) throw new Error(`expected ${status}, got ${answer.status}: ${answer.text}`)
}
