/** Two tenants with something of everything, and every kind of caller there is: who may come in, and who may not. */
import { env } from 'cloudflare:workers'
import { newApiToken, newApiTokenId } from '../../src/auth/apiTokens.ts'
import { ROUTES, type Route, type RouteName } from '../../src/contract/routes.ts'
import { SCOPES, type Scope } from '../../src/contract/scopes.ts'
import { CLIENT_SCRIPT } from '../../src/http/clientScript.ts'
import { type Broker, expectStatus, newTenant, newToken, newTurnKey } from './broker.ts'
import { MINUTE_MS, passTime, SECOND_MS } from './clock.ts'
import { runJobs } from './storage.ts'

/** What the parameters of a path stand for. */
export interface Things {
  readonly tenant: string
  readonly keyId: string
  readonly tokenId: string
}

export const routes = Object.entries(ROUTES) as [RouteName, Route][] // Object.entries forgets the names

export const pathOf = (route: Route, { tenant, keyId, tokenId }: Things): string =>
  route.path
    .replace(/:(account_id|tenant)/, tenant)
    .replace(':key_id', keyId)
    .replace(':token_id', tokenId)
    .replace(':version', `${CLIENT_SCRIPT.version}.js`)

/** A tenant with a TURN key and an API token that has these scopes, all by default. */
export async function furnish(broker: Broker, id: string, scopes: readonly Scope[] = SCOPES) {
  const { token, tokenId } = await newTenant(broker, id, { scopes: [...scopes], policy: { maxTurnKeys: 100 } })
  return { id, token, tokenId, keyId: await newTurnKey(broker, { id, token }) }
}

/** A tenant that was, its token and its key. Moves the clock. */
export async function furnishDeleted(broker: Broker, id: string) {
  const gone = await furnish(broker, id)
  expectStatus(await broker.admin('DELETE', `/tenants/${id}?cascade=true`), 202)
  for (let round = 0; round < 2; round++) {
    passTime(MINUTE_MS)
    await runJobs(id)
  }
  expectStatus(await broker.admin('GET', `/tenants/${id}`), 404)
  return gone
}

/** A well-formed token that no tenant ever gave out. */
export const forgedToken = async (tenant: string, id = newApiTokenId()): Promise<string> =>
  (await newApiToken(tenant, id)).token

/**
 * Authorization headers that name nobody. Moves the clock past the expiry of one.
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
    'a token with a wrong checksum': `Bearer ${valid.token.slice(0, -1)}${last}`,
    'a token of a known id with another secret': `Bearer ${await forgedToken(tenant, valid.tokenId)}`,
    'a token of an unknown id': `Bearer ${await forgedToken(tenant)}`,
    'a deleted token': `Bearer ${deleted.token}`,
    'an expired token': `Bearer ${expired.token}`,
    'a token of a tenant that is being deleted': `Bearer ${leaving.token}`,
    'a token of a tenant that was deleted': `Bearer ${gone.token}`,
    'a token of a tenant that never was': `Bearer ${await forgedToken('never-was')}`,
    'a bearer of 9,000 characters': `Bearer ${'a'.repeat(9_000)}`,
    "the account's own token": `Bearer ${env.CALLS_API_TOKEN}`,
  }
}
