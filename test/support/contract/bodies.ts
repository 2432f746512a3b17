/** The routes that take a body, each with a right one and who may send it. */
import { env } from 'cloudflare:workers'
import { ROUTES, type Route, type RouteName } from '../../../src/contract/routes.ts'
import type { Answer } from '../broker/answer.ts'
import { type Broker, expectStatus } from '../broker/broker.ts'
import { outcomeOf, shown } from '../broker/contract.ts'
import { APP } from '../broker/doors.ts'
import { plantedKey } from '../broker/upstream.ts'
import { furnishAll, pathOf, SUBJECT } from './callers.ts'

const RIGHT_BODIES = {
  turnKeyCreate: { name: 'new' },
  turnKeyUpdate: { name: 'other' },
  iceServers: { ttl: 600 },
  credentialGenerateIceServers: { ttl: 600, customIdentifier: 'ann' },
  credentialGenerate: { ttl: 600, customIdentifier: 'bob' },
  turnRestCreate: { username: 'ann', service: 'turn' },
  clientTokenCreate: { subject: 'ann', ttl: 60, credentialTtl: 600, origin: APP },
  subjectSearch: { subject: SUBJECT },
  revocationCreate: { subject: 'nobody' },
  banCreate: { subject: 'nobody', until: '2100-01-01T00:00:00Z' },
  tenantCreate: { id: 'fresh', name: 'Fresh', region: 'weur' },
  tenantPatch: { name: 'Patched' },
  tenantRestore: {},
  issuerCheck: { token: 'no JWT' },
  apiTokenCreate: { name: 'second', scopes: ['usage:read'] },
  apiTokenRoll: { overlapSeconds: 60 },
  turnKeyRotate: { revoke: false },
  turnKeyImport: { uid: 'filled in', key: 'filled in' },
} satisfies Partial<Record<RouteName, object>>

export type BodyRoute = keyof typeof RIGHT_BODIES
/** Of those whose method could have a body, the routes that read none. */
export const WITHOUT_BODY: readonly RouteName[] = [
  'credentialRevoke',
  'banLift',
  'accountSweep',
  'resealOrder',
  'tokenCheckReplace',
]

export interface Target {
  readonly name: BodyRoute
  readonly route: Route
  readonly path: string
  readonly token: string
  readonly right: object
  readonly isNative: boolean
}

export async function bodyTargets(broker: Broker): Promise<Target[]> {
  const acme = await furnishAll(broker, 'acme')
  // Enough room for what is right.
  expectStatus(await broker.admin('PATCH', '/tenants/acme', { policy: { maxLiveCredentialsPerSubject: 1_000 } }), 200)
  const imported = await plantedKey()
  return (Object.keys(RIGHT_BODIES) as BodyRoute[]).map((name) => {
    const route: Route = ROUTES[name]
    const isNative = route.dialect === 'native'
    // The tenant's own token is used where it may be; a roll would end it.
    const server = isNative ? env.ADMIN_TOKEN : acme.token
    const token = route.access === 'client-token' ? acme.clientToken : server
    const right = name === 'turnKeyImport' ? imported : RIGHT_BODIES[name]
    return { name, route, path: pathOf(route, acme), token, right, isNative }
  })
}

export type Sent = string | Uint8Array<ArrayBuffer> | ReadableStream | null

export const EMPTY: readonly [string, Sent][] = [
  ['no body', null],
  ['an empty body', ''],
]
/** Where a body may be empty: at Cloudflare's paths, as there, at the browser door and at turn-rest. */
export const mayBeEmpty = ({ name, isNative }: Target): boolean =>
  !isNative || name === 'iceServers' || name === 'turnRestCreate'
/** Whether the body was taken. What it is about may be another matter. */
export const wasRead = ({ status }: Answer): boolean => status < 300 || status === 409

/** Sends a body as it is. */
export const sendTo = (
  broker: Broker,
  target: Target,
  body: Sent,
  headers: Record<string, string> = {},
): Promise<Answer> =>
  broker.send(target.path, {
    method: target.route.method,
    headers: { authorization: `Bearer ${target.token}`, 'content-type': 'application/json', ...headers },
    body,
  })

const CLOUDFLARE_CODES: Record<string, string> = { '400': '31001', '413': '31015', '415': '31016' }
const NATIVE_CODES: Record<string, string> = {
  '400': 'invalid_request',
  '413': 'too_large',
  '415': 'unsupported_media_type',
}

/** What is wrong with this answer to a bad body; nothing, when it is the documented refusal. */
export function notRefused(target: Target, what: string, answer: Answer, status: 400 | 413 | 415): string[] {
  const codes = target.isNative ? NATIVE_CODES : CLOUDFLARE_CODES
  if (outcomeOf(answer) === `${status} ${codes[status]}`) return []
  return [`${target.name}, ${what}: ${status} expected, got ${shown(answer)}`]
}
