/** The access table: a row for every route of the contract. A new route needs its row here to compile. */
import { env } from 'cloudflare:workers'
import { expect } from 'vitest'
import type { Route, RouteName } from '../../../src/contract/routes.ts'
import type { Answer } from '../broker/answer.ts'
import type { Broker } from '../broker/broker.ts'
import { outcomeOf, shown } from '../broker/contract.ts'
import { APP, tenantPath } from '../broker/doors.ts'
import { emulator, plantedKey } from '../broker/upstream.ts'
import { tenantObjects } from '../storage/storage.ts'
import { pathOf, SUBJECT, type Things } from './callers.ts'

export interface Row {
  /** What the right caller is answered. */
  readonly right: number | string
  /** A function makes one that is new each time. */
  readonly body?: unknown
  readonly query?: string
  readonly headers?: Record<string, string>
  /** What a caller is answered who asks for another tenant's things. Absent: the path names no tenant's thing. */
  readonly foreign?: string
  /** What is answered when the object itself belongs to another tenant than the rest of the path says. */
  readonly foreignObject?: string
}

const noKey = '404 20008'
const nothing = '404 not_found'
const aKey = { foreign: noKey, foreignObject: noKey }
const atTenant = { foreign: nothing }
const anObject = { foreign: nothing, foreignObject: nothing }

const ROWS = {
  health: { right: 200 },
  ready: { right: 200 },
  turnKeyList: { right: 200, foreign: '403 10000' },
  turnKeyCreate: { right: 201, body: { name: 'new' }, foreign: '403 10000' },
  turnKeyGet: { right: 200, ...aKey },
  turnKeyUpdate: { right: 200, body: { name: 'other' }, ...aKey },
  turnKeyDelete: { right: 200, ...aKey },
  iceServers: { right: 201, foreign: '401 invalid_token' },
  iceServersPreflight: { right: 204, headers: { origin: APP } },
  // The key says whose it is: an operator needs no tenant in the path.
  credentialGenerateIceServers: { right: 201, body: { ttl: 600 }, foreign: noKey },
  credentialGenerate: { right: 201, body: { ttl: 600 }, foreign: noKey },
  credentialRevoke: { right: 204, foreign: noKey, foreignObject: '404 7003' },
  tenantSelf: { right: 200, ...atTenant },
  clientTokenCreate: { right: 201, body: { subject: 'somebody' }, ...atTenant },
  turnRestCreate: { right: 200, body: { username: 'somebody' }, ...atTenant },
  turnRest: { right: 200, query: '?username=somebody', ...atTenant },
  credentialList: { right: 200, ...atTenant },
  subjectSearch: { right: 200, body: { subject: SUBJECT }, ...atTenant },
  subjectErase: { right: 204, ...anObject },
  revocationCreate: { right: 202, body: { subject: 'somebody' }, ...atTenant },
  revocationGet: { right: 200, ...anObject },
  banList: { right: 200, ...atTenant },
  banCreate: { right: 201, body: { subject: 'somebody else', until: '2100-01-01T00:00:00Z' }, ...atTenant },
  banLift: { right: 200, ...anObject },
  turnKeyRotate: { right: 201, body: {}, ...anObject },
  auditList: { right: 200, ...atTenant },
  tenantList: { right: 200 },
  tenantCreate: { right: 201, body: { id: 'intruder', name: 'Intruder', region: 'weur' } },
  tenantGet: { right: 200 },
  tenantPatch: { right: 200, body: { status: 'suspended' } },
  // Nothing was lost, and the local runtime cannot set anything back.
  tenantRestore: { right: '409 conflict', body: {} },
  tenantDelete: { right: 202, query: '?cascade=true' },
  issuerCheck: { right: 200, body: { token: 'no JWT' } },
  apiTokenList: { right: 200 },
  apiTokenCreate: { right: 201, body: { name: 'new', scopes: ['usage:read'] } },
  apiTokenDelete: { right: 204, foreignObject: nothing },
  turnKeyImport: { right: 201, body: plantedKey },
  apiTokenRoll: { right: 200, body: {}, foreignObject: nothing },
  accountGet: { right: 200 },
  accountSweep: { right: 202 },
  accountAuditList: { right: 200 },
  resealOrder: { right: 202 },
  resealProgress: { right: 200 },
  tokenCheckReplace: { right: 202 },
  tokenCheckGet: { right: 200 },
} satisfies Record<RouteName, Row>

export const ROWS_IN_ORDER = Object.keys(ROWS)
export const rowOf = (name: RouteName): Row => ROWS[name]

/** Asks for a route's things and notes whatever is not as it must be. */
export function asker(broker: Broker) {
  const wrong: string[] = []
  const ask = async (
    [name, route]: [RouteName, Route],
    it: { who: string; authorization: string | undefined; things: Partial<Things>; expected: string },
  ): Promise<Answer> => {
    const { body, query = '', headers } = rowOf(name)
    const bearer = it.authorization === undefined ? {} : { authorization: it.authorization }
    const path = pathOf(route, it.things) + query
    const sent = typeof body === 'function' ? await body() : body
    const answer = await broker.call(route.method, path, undefined, sent, { ...headers, ...bearer })
    const got = outcomeOf(answer)
    if (got !== it.expected) wrong.push(`${name}, ${it.who}: ${it.expected} expected, got ${shown(answer)}`)
    return answer
  }
  return { ask, wrong }
}

/** How a route refuses a caller without a valid token. */
export const refusal = (route: Route) => (route.dialect === 'native' ? '401 invalid_token' : '401 10000')

/** What a refused request must leave as it was. Refused mints are on the audit trail: those rows are left out. */
export async function stateOf(broker: Broker) {
  const { items } = (await broker.admin('GET', '/tenants')).json
  const details = []
  for (const { id } of items) {
    details.push((await broker.admin('GET', `/tenants/${id}`)).json)
    details.push((await broker.admin('GET', `/tenants/${id}/api-tokens`)).json)
    for (const list of ['credentials', 'bans', 'audit-events?limit=100&outcome=done']) {
      details.push((await broker.call('GET', tenantPath(id, list), env.ADMIN_TOKEN)).json.items)
    }
  }
  return { items, details, upstream: (await emulator.log()).length, objects: await tenantObjects() }
}

/** The two states are one: nothing was changed, created or asked upstream. */
export async function expectUnchanged(broker: Broker, before: Awaited<ReturnType<typeof stateOf>>): Promise<void> {
  expect(await stateOf(broker), 'nothing was changed, created or asked upstream').toEqual(before)
}
