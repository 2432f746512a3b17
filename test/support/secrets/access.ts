/** Cloudflare Access as a test plays it: a small issuer with the team's keys, and the assertions it adds to requests. */

import { expect } from 'vitest'
import type { AccessRoles, Role } from '../../../src/contract/roles.ts'
import type { Answer } from '../broker/answer.ts'
import { countedObjects } from '../broker/bindings.ts'
import { type Broker, newBroker } from '../broker/broker.ts'
import { MINUTE_MS, passTime } from '../broker/clock.ts'
import { outcomeOf, shown } from '../broker/contract.ts'
import { asText, look, type Rows } from './forger.ts'
import { type Key, newKey, playedProvider, signed } from './idp.ts'

export const TEAM = 'team.cloudflareaccess.com'
export const AUD = 'a1'.repeat(32)
export const OTHER_AUD = 'b2'.repeat(32)
export const SERVICE = 'e367826f93b8d71185e03fe518aff3b4.access'

const ROLES: AccessRoles = [
  { email: 'viewer@example.com', role: 'viewer' },
  { email: 'operator@example.com', role: 'operator' },
  { email: 'owner@example.com', role: 'owner' },
  { common_name: SERVICE, role: 'owner' },
  { custom: { claim: 'groups', value: 'turn-admins' }, role: 'owner' },
]

/** The variables of a deployment that uses Access. */
export const ACCESS = {
  ACCESS_TEAM_DOMAIN: TEAM,
  ACCESS_AUD: `${AUD}, ${OTHER_AUD}`,
  ACCESS_ROLES: JSON.stringify(ROLES),
}

export const HEADER = { alg: 'RS256', kid: 'team-key', typ: 'JWT' }

/** Made once: an RSA key takes a while. */
let made: Promise<Key> | undefined
export const teamKey = (): Promise<Key> => {
  made ??= newKey(HEADER.kid, 'RS256')
  return made
}

/** Claims as Access writes them for a person, right by the Worker's clock. */
export function personClaims(changes: object = {}): Record<string, unknown> {
  const now = Math.floor(Date.now() / 1_000)
  return {
    aud: [AUD],
    email: 'owner@example.com',
    exp: now + 600,
    iat: now,
    nbf: now,
    iss: `https://${TEAM}`,
    type: 'app',
    identity_nonce: '6ei69kawdKzMIAPF',
    sub: '7335d417-61da-459d-899c-0a01c76a2f94',
    country: 'US',
    ...changes,
  }
}

/** And for a service token. */
export function serviceClaims(changes: object = {}): Record<string, unknown> {
  const { email: _, identity_nonce: __, country: ___, ...shared } = personClaims()
  return { ...shared, common_name: SERVICE, sub: '', ...changes }
}

export const assertionOf = async (claims: unknown, header: unknown = HEADER): Promise<string> =>
  signed(await teamKey(), claims, header)

export const assertionFor = (role: Role): Promise<string> => assertionOf(personClaims({ email: `${role}@example.com` }))

/** The keys of the team, and how often a Worker has asked for them since. */
export async function newTeam(keys?: object[]) {
  const provider = playedProvider('/cdn-cgi/access/certs')
  await provider.serves(...(keys ?? [(await teamKey()).jwk]))
  await provider.forget()
  return provider
}

/** A broker behind Access; the clock stands still from here on. */
export async function newAccessBroker(overrides: object = {}): Promise<Broker> {
  const broker = newBroker({ ...ACCESS, ...overrides })
  passTime(2 * MINUTE_MS)
  return broker
}

/** A request that Access let through. */
export function through(
  broker: Broker,
  assertion: string,
  it: { method?: string; path?: string; body?: unknown; headers?: Record<string, string> } = {},
): Promise<Answer> {
  const { method = 'GET', path = '/v1/admin/tenants', body, headers } = it
  return broker.call(method, path, undefined, body, { 'cf-access-jwt-assertion': assertion, ...headers })
}

export function withoutClaim(name: string): Record<string, unknown> {
  const { [name]: _, ...rest } = personClaims()
  return rest
}

/** Right claims, with text before them that JSON.stringify cannot write. */
export const withText = (text: string): string => asText(personClaims()).replace('{', `{${text},`)

/** The rows that the admin door does not refuse as it refuses a stranger, or that reach KV or an object. */
export async function notRefused(rows: Rows): Promise<string[]> {
  const { reached, ...objects } = countedObjects()
  let kvReads = 0
  const edge = await newAccessBroker({ ...objects, CACHE: { get: async () => ++kvReads && null } })
  const expected = look(await edge.call('GET', '/v1/admin/tenants', undefined))
  expect(expected).toMatch(/^\[401,.*invalid_token/)
  const wrong: string[] = []
  for (const [name, assertion] of Object.entries(rows)) {
    const answer = await through(edge, assertion)
    if (look(answer) !== expected) wrong.push(`${name}: ${shown(answer)}`)
  }
  if (reached.count > 0) wrong.push(`${reached.count} objects were reached for`)
  if (kvReads > 0) wrong.push(`${kvReads} reads of KV`)
  return wrong
}

/** The rows with which the admin door does not answer like this. */
export async function notAnswered(outcome: string, rows: Rows): Promise<string[]> {
  const broker = await newAccessBroker()
  const wrong: string[] = []
  for (const [name, assertion] of Object.entries(rows)) {
    const answer = await through(broker, assertion)
    if (outcomeOf(answer) !== outcome) wrong.push(`${name}: ${shown(answer)}`)
  }
  return wrong
}

/** What `ACCESS_ROLES` may not be; each text holds the canary. */
export const badRoles = (canary: string): unknown[] => [
  ...['', canary, '[]', '{}', 'null', `[${JSON.stringify(canary)}]`, `{"${canary}@x.test":"owner"}`, 42, null, []],
  ...[
    { role: 'owner' },
    { email: `${canary}@x.test` },
    { email: `${canary}@x.test`, role: 'admin' },
    { email: `${canary}@x.test`, role: 'Owner' },
    { email: `${canary}@x.test`, role: ['owner'] },
    { email: [`${canary}@x.test`], role: 'owner' },
    { email: canary, role: 'owner' },
    { email: `${canary}@\u0445.test`, role: 'owner' },
    { email: `${canary}@x.test`, common_name: canary, role: 'owner' },
    { email: `${canary}@x.test`, role: 'owner', extra: true },
    { common_name: '', role: 'owner' },
    { common_name: `${canary} x`, role: 'owner' },
    { custom: canary, role: 'owner' },
    { custom: { claim: canary }, role: 'owner' },
    { custom: { claim: canary, value: true }, role: 'owner' },
    { custom: { claim: '', value: canary }, role: 'owner' },
  ].map((entry) => JSON.stringify([entry])),
  JSON.stringify(['viewer', 'owner'].map((role) => ({ email: `${canary}@x.test`, role }))),
  JSON.stringify(Array.from({ length: 201 }, (_, n) => ({ email: `${canary}${n}@x.test`, role: 'viewer' }))),
  `[{"email":"${canary}@x.test","role":"viewer","role":"owner"}]`,
  `[{"__proto__":{"email":"${canary}@x.test"},"role":"owner"}]`,
  `[{"email":"${canary}@x.test","role":"owner"}],`,
]
