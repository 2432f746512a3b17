/** Two tenants with something of everything, and every kind of caller there is: who may come in, and who may not. */
import { env } from 'cloudflare:workers'
import { ROUTES, type Route, type RouteName } from '../../../src/contract/routes.ts'
import { SCOPES, type Scope } from '../../../src/contract/scopes.ts'
import { type Broker, expectStatus, newTenant, newToken, newTurnKey } from '../broker/broker.ts'
import { DAY_MS, MINUTE_MS, passTime, SECOND_MS } from '../broker/clock.ts'
import { APP, tenantPath } from '../broker/doors.ts'
import { forgedToken, leakedCheckToken } from '../secrets/apiTokens.ts'
import { runJobs } from '../storage/storage.ts'

/** What the parameters of a path stand for. */
export interface Things {
  readonly tenant: string
  readonly keyId: string
  readonly tokenId: string
  readonly username: string
  readonly subjectId: string
  readonly revocationId: string
  readonly banId: string
}

/** Well-formed ids that belong to no tenant. */
export const NOBODYS: Things = {
  tenant: 'never-was',
  keyId: 'k'.repeat(32),
  tokenId: 't'.repeat(12),
  username: 'u'.repeat(64),
  subjectId: `su_${'s'.repeat(22)}`,
  revocationId: `rv_${'r'.repeat(22)}`,
  banId: `bn_${'b'.repeat(22)}`,
}

const PARAMETERS: Readonly<Record<string, keyof Things>> = {
  account_id: 'tenant',
  tenant: 'tenant',
  key_id: 'keyId',
  token_id: 'tokenId',
  username: 'username',
  subject_id: 'subjectId',
  revocation_id: 'revocationId',
  ban_id: 'banId',
}

export const routes = Object.entries(ROUTES) as [RouteName, Route][] // Object.entries forgets the names

/** An id that is not given belongs to no tenant. */
export const pathOf = (route: Pick<Route, 'path'>, things: Partial<Things>): string =>
  route.path.replace(/:([a-z_]+)/g, (_, parameter: string) => {
    const name = PARAMETERS[parameter]
    if (name === undefined) throw new Error(`nothing stands for :${parameter}`)
    return things[name] ?? NOBODYS[name]
  })

/** `Authorization: Basic` with any user name. */
export const basic = (password: string, user = 'janus'): string => `Basic ${btoa(`${user}:${password}`)}`

/** A tenant with a TURN key and an API token that has these scopes, all by default. */
export async function furnish(broker: Broker, id: string, scopes: readonly Scope[] = SCOPES) {
  const policy = { maxTurnKeys: 100, allowedOrigins: [APP] }
  const { token, tokenId } = await newTenant(broker, id, { scopes: [...scopes], policy })
  return { id, tenant: id, token, tokenId, keyId: await newTurnKey(broker, { id, token }) }
}

/** Whom the credential of a furnished tenant is for: alike in all of them. */
export const SUBJECT = 'ann'

/** A tenant with something of everything there is: also a client token, a credential, its subject, a revocation, a ban. */
export async function furnishAll(broker: Broker, id: string) {
  const tenant = await furnish(broker, id)
  const as = async (method: string, path: string, status: number, body?: unknown, token = tenant.token) => {
    const answer = await broker.call(method, tenantPath(id, path), token, body)
    expectStatus(answer, status)
    return answer.json
  }
  const { token: clientToken } = await as('POST', 'client-tokens', 201, { subject: SUBJECT, ttl: 3_600 })
  const { iceServers } = await as('POST', 'ice-servers', 201, undefined, clientToken)
  const { items } = await as('GET', 'credentials', 200)
  const revocation = await as('POST', 'revocations', 202, { subject: 'nobody' })
  const until = new Date(Date.now() + DAY_MS).toISOString()
  const ban = await as('POST', 'bans', 201, { subject: 'banned', until })
  return {
    ...tenant,
    clientToken: String(clientToken),
    username: String(iceServers.at(-1).username),
    credentialId: String(items[0].id),
    subjectId: String(items[0].subjectId),
    revocationId: String(revocation.id),
    banId: String(ban.id),
  }
}

/** A tenant that was, its token and its key. Moves the clock. */
export async function furnishDeleted(broker: Broker, id: string) {
  const gone = await furnishAll(broker, id)
  expectStatus(await broker.admin('DELETE', `/tenants/${id}?cascade=true`), 202)
  for (let round = 0; round < 2; round++) {
    passTime(MINUTE_MS)
    await runJobs(id)
  }
  expectStatus(await broker.admin('GET', `/tenants/${id}`), 404)
  return gone
}

/**
 * Authorization headers that identify no caller. Moves the clock past the expiry of one.
 * `valid` is a token of this tenant that would do, so that only what is said of each is wrong with it.
 */
export async function badIdentities(broker: Broker, tenant: string, valid: { token: string; tokenId: string }) {
  const deleted = await newToken(broker, tenant, [...SCOPES])
  expectStatus(await broker.admin('DELETE', `/tenants/${tenant}/api-tokens/${deleted.tokenId}`), 204)
  const expired = await newToken(broker, tenant, [...SCOPES], new Date(Date.now() + 30_000).toISOString())
  await furnish(broker, 'leaving')
  const leaving = await newToken(broker, 'leaving', [...SCOPES])
  const gone = await furnishDeleted(broker, 'gone')
  passTime(31 * SECOND_MS)
  expectStatus(await broker.admin('DELETE', '/tenants/leaving?cascade=true'), 202)

  const last = valid.token.slice(-1) === 'a' ? 'b' : 'a'
  return {
    'no token': undefined,
    'an empty bearer': 'Bearer ',
    'a junk bearer': 'Bearer junk',
    'a junk scheme': 'Junk abc',
    'a valid token under a junk scheme': `Junk ${valid.token}`,
    'a valid token without a scheme': valid.token,
    'a valid token, twice': `Bearer ${valid.token}, Bearer ${valid.token}`,
    'a token with a wrong check': `Bearer ${valid.token.slice(0, -1)}${last}`,
    'a forged token of a known id': `Bearer ${await forgedToken(tenant, valid.tokenId)}`,
    'a token of a known id with another secret and a right check': `Bearer ${await leakedCheckToken(tenant, valid.tokenId)}`,
    'a token of an unknown id with a right check': `Bearer ${await leakedCheckToken(tenant)}`,
    'a deleted token': `Bearer ${deleted.token}`,
    'an expired token': `Bearer ${expired.token}`,
    'a token of a tenant that is being deleted': `Bearer ${leaving.token}`,
    'a token of a tenant that was deleted': `Bearer ${gone.token}`,
    'a token of a tenant that never was, with a right check': `Bearer ${await leakedCheckToken('never-was')}`,
    'a forged token of a tenant that never was': `Bearer ${await forgedToken('never-was')}`,
    'the admin token as the password of Basic': basic(env.ADMIN_TOKEN),
    'a forged token of a known id as the password of Basic': basic(await forgedToken(tenant, valid.tokenId)),
    'a deleted token as the password of Basic': basic(deleted.token),
    'an expired token as the password of Basic': basic(expired.token),
    'a valid token as the user name of Basic': `Basic ${btoa(`${valid.token}:`)}`,
    'a valid token in Basic without a user name and colon': `Basic ${btoa(valid.token)}`,
    'a valid token in Basic that is not base64': `Basic x:${valid.token}`,
    'a bearer of 9,000 characters': `Bearer ${'a'.repeat(9_000)}`,
    "the account's own token": `Bearer ${env.CALLS_API_TOKEN}`,
  }
}
