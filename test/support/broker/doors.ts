/** The doors that hand out credentials, as those who use them speak to them: back ends, browsers, operators. */
import { env } from 'cloudflare:workers'
import { expect } from 'vitest'
import type { AuditEventView } from '../../../src/contract/resources/auditEvents.ts'
import { SCOPES, type Scope } from '../../../src/contract/scopes.ts'
import { ERRORS, type ErrorCode } from '../../../src/errors.ts'
import type { Answer } from './answer.ts'
import { type Broker, expectStatus, newTenant, newTurnKey } from './broker.ts'

/** A page of the tenant's app. */
export const APP = 'https://app.example'

export interface Served {
  readonly id: string
  /** An API token with every scope, unless others were asked. */
  readonly token: string
  readonly tokenId: string
  readonly uid: string
}

/** A tenant with one TURN key and the origin `APP` in its policy. */
export async function served(broker: Broker, id = 'acme', options: { policy?: object; scopes?: Scope[] } = {}) {
  const policy = { allowedOrigins: [APP], ...options.policy }
  const tenant = await newTenant(broker, id, { scopes: options.scopes ?? [...SCOPES], policy })
  return { ...tenant, uid: await newTurnKey(broker, tenant) } satisfies Served
}

export const tenantPath = (id: string, rest: string): string => `/v1/tenants/${id}/${rest}`
export const iceServersPath = (id: string): string => tenantPath(id, 'ice-servers')
export const credentialsPath = (uid: string, rest: string): string => `/v1/turn/keys/${uid}/credentials/${rest}`
export const revokePath = (uid: string, username: string): string =>
  credentialsPath(uid, `${encodeURIComponent(username)}/revoke`)

/** A client token of the tenant, for `alice` unless said otherwise. */
export async function clientToken(broker: Broker, tenant: Served, input: object = {}): Promise<string> {
  const body = { subject: 'alice', ...input }
  const answer = await broker.call('POST', tenantPath(tenant.id, 'client-tokens'), tenant.token, body)
  expectStatus(answer, 201)
  return String(answer.json.token)
}

/** A request of a browser with the token in the header. `origin`: the page's; none for a native app. */
export function askIceServers(
  broker: Broker,
  id: string,
  token: string | undefined,
  { origin, body, headers = {} }: { origin?: string; body?: unknown; headers?: Record<string, string> } = {},
): Promise<Answer> {
  return broker.call('POST', iceServersPath(id), token, body, {
    ...(origin === undefined ? {} : { origin }),
    ...headers,
  })
}

/** The CORS simple request: everything in a form. */
export function postForm(
  broker: Broker,
  id: string,
  form: string | Record<string, string>,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const body = typeof form === 'string' ? form : new URLSearchParams(form).toString()
  const type = { 'content-type': 'application/x-www-form-urlencoded' }
  return broker.send(iceServersPath(id), { method: 'POST', headers: { ...type, ...headers }, body })
}

export const preflight = (broker: Broker, id: string, origin: string | undefined, headers: object = {}) =>
  broker.send(iceServersPath(id), {
    method: 'OPTIONS',
    headers: {
      ...(origin === undefined ? {} : { origin }),
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization,content-type',
      ...headers,
    },
  })

/** One credential as a back end gets it from the door shaped like Cloudflare's. */
export async function generate(
  broker: Broker,
  { uid, token }: { uid: string; token: string },
  body: object = {},
): Promise<{ urls: string[]; username: string; credential: string }> {
  const answer = await broker.call('POST', credentialsPath(uid, 'generate'), token, body)
  expectStatus(answer, 201)
  return answer.json.iceServers
}

/** The audit trail, newest first, as an operator reads it. */
export async function auditOf(broker: Broker, id: string, query = ''): Promise<AuditEventView[]> {
  const answer = await broker.call('GET', tenantPath(id, `audit-events?limit=100${query}`), env.ADMIN_TOKEN)
  expectStatus(answer, 200)
  return answer.json.items
}

/** An answer that must be this row of the error table, at a native route. */
export function expectProblem(answer: Answer, code: ErrorCode): void {
  expect(answer.json?.code, answer.text).toBe(code)
  expect(answer.status, answer.text).toBe(ERRORS[code].status)
  expect(answer.headers.get('content-type')).toBe('application/problem+json')
  expect(answer.headers.get('www-authenticate')).toBe(code === 'invalid_token' ? 'Bearer' : null)
}

/** Names of the CORS headers that an answer carries; `Vary` is none. */
export const corsHeaders = ({ headers }: Answer): string[] =>
  [...headers.keys()].filter((name) => name.startsWith('access-control-'))

/** A limiter that lets this many through. */
export function allowing(times: number): RateLimit {
  let left = times
  return { limit: async () => ({ success: left-- > 0 }) }
}
