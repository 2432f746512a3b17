/** The routes that take a body, each with a right one and who may send it. */
import { env } from 'cloudflare:workers'
import { ROUTES, type Route, type RouteName } from '../../src/contract/routes.ts'
import type { Answer, Broker } from './broker.ts'
import { furnish, pathOf } from './callers.ts'
import { outcomeOf, shown } from './contract.ts'

const RIGHT_BODIES = {
  turnKeyCreate: { name: 'new' },
  turnKeyUpdate: { name: 'other' },
  tenantCreate: { id: 'fresh', name: 'Fresh', region: 'weur' },
  tenantPatch: { name: 'Patched' },
  apiTokenCreate: { name: 'second', scopes: ['usage:read'] },
  apiTokenRoll: { overlapSeconds: 60 },
} satisfies Partial<Record<RouteName, object>>

export type BodyRoute = keyof typeof RIGHT_BODIES

export interface Target {
  readonly name: BodyRoute
  readonly route: Route
  readonly path: string
  readonly token: string
  readonly right: object
  readonly isNative: boolean
}

export async function bodyTargets(broker: Broker): Promise<Target[]> {
  const acme = await furnish(broker, 'acme')
  return (Object.keys(RIGHT_BODIES) as BodyRoute[]).map((name) => {
    const route: Route = ROUTES[name]
    const isNative = route.dialect === 'native'
    const path = pathOf(route, { tenant: 'acme', keyId: acme.keyId, tokenId: acme.tokenId })
    // The tenant's own token is used where it may be; a roll would end it.
    return { name, route, path, token: isNative ? env.ADMIN_TOKEN : acme.token, right: RIGHT_BODIES[name], isNative }
  })
}

export type Sent = string | Uint8Array<ArrayBuffer> | ReadableStream | null

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
