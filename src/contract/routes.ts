/**
 * The route table. A handler is mounted by its name in this table and gets guard, deadline and error dialect from it,
 * so no route can exist without them.
 */
import type { Role } from './roles.ts'
import type { Scope } from './scopes.ts'

/** Deadlines count from the last byte of the request. */
const DEADLINE_MS = { plain: 10_000, create: 12_000, mint: 5_000 } as const

export interface Route {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'OPTIONS'
  /** Hono's pattern. `:account_id` and `:tenant` are both a tenant's id. */
  readonly path: string
  /** Who may call: anyone, a page with a client token, an operator, or an API token with the scope (or an operator). */
  readonly access: 'public' | 'client-token' | 'admin' | { readonly scope: Scope }
  /** On an admin route: the least role of an operator who comes through Cloudflare Access. The admin token is an owner's. */
  readonly role?: Role
  /** Format of errors: `application/problem+json`, or Cloudflare's envelope. */
  readonly dialect: 'native' | 'cloudflare'
  readonly deadlineMs: number
  /** Safe to repeat: after a timeout the caller may send the same request again. */
  readonly repeatable?: true
  /** Takes an API token as the password of `Authorization: Basic` too. */
  readonly basic?: true
  /** Issues a credential; HEAD is refused. */
  readonly issues?: true
  /** Names of the query parameters, none by default. None may be repeated. */
  readonly query?: readonly string[]
  /** What happens to a request with another query parameter: a 400, by default, or nothing. */
  readonly unknownQuery?: 'refused' | 'ignored'
}

/** Query parameters by which the audit trail is filtered; their values: docs/storage.md, `audit_events`. */
export const AUDIT_FILTERS = ['actor', 'action', 'target', 'outcome', 'code', 'subjectId'] as const

const KEYS = '/client/v4/accounts/:account_id/calls/turn_keys'
const KEY = `${KEYS}/:key_id`
const CREDENTIALS = '/v1/turn/keys/:key_id/credentials'
const TENANT = '/v1/tenants/:tenant'
const ADMIN_TENANT = '/v1/admin/tenants/:tenant'

const publicRoute = (path: string): Route => ({
  method: 'GET',
  path,
  access: 'public',
  dialect: 'native',
  deadlineMs: DEADLINE_MS.plain,
  unknownQuery: 'ignored',
})
const adminRoute = (method: Route['method'], path: string, role: Role): Route => ({
  method,
  path,
  access: 'admin',
  role,
  dialect: 'native',
  deadlineMs: DEADLINE_MS.plain,
})
const serverRoute = (method: Route['method'], path: string, scope: Scope): Route => ({
  method,
  path,
  access: { scope },
  dialect: 'native',
  deadlineMs: DEADLINE_MS.plain,
})
const cloudflareRoute = (method: Route['method'], path: string, scope: Scope): Route => ({
  ...serverRoute(method, path, scope),
  dialect: 'cloudflare',
  // As Cloudflare's own API does.
  unknownQuery: 'ignored',
  deadlineMs: method === 'POST' ? DEADLINE_MS.create : DEADLINE_MS.plain,
})

const mintRoute = (route: Route): Route => ({ ...route, deadlineMs: DEADLINE_MS.mint, repeatable: true, issues: true })
/** For clients that send neither a bearer nor a body, and query parameters of their own. */
const turnRestRoute = (method: 'GET' | 'POST'): Route => ({
  ...mintRoute(serverRoute(method, `${TENANT}/turn-rest`, 'credentials:issue')),
  basic: true,
  query: ['format', 'service', 'username'],
  unknownQuery: 'ignored',
})
const listRoute = (route: Route, filters: readonly string[] = []): Route => ({
  ...route,
  query: ['limit', 'cursor', ...filters],
})
/** The only route that answers cross-origin requests with a token. */
const browserRoute = (method: 'POST' | 'OPTIONS', access: 'client-token' | 'public'): Route => ({
  method,
  path: `${TENANT}/ice-servers`,
  access,
  dialect: 'native',
  deadlineMs: DEADLINE_MS.mint,
  repeatable: true,
  // The POST after the preflight is refused; its error names the parameter.
  unknownQuery: method === 'OPTIONS' ? 'ignored' : 'refused',
})

export const ROUTES = {
  health: publicRoute('/healthz'),
  ready: publicRoute('/readyz'),

  turnKeyList: cloudflareRoute('GET', KEYS, 'turn_keys:read'),
  turnKeyCreate: cloudflareRoute('POST', KEYS, 'turn_keys:write'),
  turnKeyGet: cloudflareRoute('GET', KEY, 'turn_keys:read'),
  turnKeyUpdate: cloudflareRoute('PUT', KEY, 'turn_keys:write'),
  turnKeyDelete: cloudflareRoute('DELETE', KEY, 'turn_keys:write'),

  iceServers: browserRoute('POST', 'client-token'),
  iceServersPreflight: browserRoute('OPTIONS', 'public'),

  credentialGenerateIceServers: mintRoute(
    cloudflareRoute('POST', `${CREDENTIALS}/generate-ice-servers`, 'credentials:issue'),
  ),
  credentialGenerate: mintRoute(cloudflareRoute('POST', `${CREDENTIALS}/generate`, 'credentials:issue')),
  credentialRevoke: cloudflareRoute('POST', `${CREDENTIALS}/:username/revoke`, 'credentials:revoke'),

  tenantSelf: serverRoute('GET', TENANT, 'tenant:read'),
  clientTokenCreate: serverRoute('POST', `${TENANT}/client-tokens`, 'client_tokens:create'),
  turnRestCreate: turnRestRoute('POST'),
  turnRest: turnRestRoute('GET'),
  credentialList: listRoute(serverRoute('GET', `${TENANT}/credentials`, 'credentials:read'), ['subjectId', 'keyId']),
  subjectSearch: serverRoute('POST', `${TENANT}/subjects/search`, 'credentials:read'),
  subjectErase: serverRoute('DELETE', `${TENANT}/subjects/:subject_id`, 'credentials:revoke'),
  revocationCreate: serverRoute('POST', `${TENANT}/revocations`, 'credentials:revoke'),
  revocationGet: serverRoute('GET', `${TENANT}/revocations/:revocation_id`, 'credentials:revoke'),
  banList: listRoute(serverRoute('GET', `${TENANT}/bans`, 'credentials:revoke')),
  banCreate: serverRoute('POST', `${TENANT}/bans`, 'credentials:revoke'),
  banLift: serverRoute('POST', `${TENANT}/bans/:ban_id/lift`, 'credentials:revoke'),
  turnKeyRotate: {
    ...serverRoute('POST', `${TENANT}/turn-keys/:key_id/rotate`, 'turn_keys:write'),
    deadlineMs: DEADLINE_MS.create,
  },
  auditList: listRoute(serverRoute('GET', `${TENANT}/audit-events`, 'audit:read'), AUDIT_FILTERS),

  tenantList: listRoute(adminRoute('GET', '/v1/admin/tenants', 'viewer')),
  tenantCreate: adminRoute('POST', '/v1/admin/tenants', 'operator'),
  tenantGet: adminRoute('GET', ADMIN_TENANT, 'viewer'),
  tenantPatch: adminRoute('PATCH', ADMIN_TENANT, 'operator'),
  tenantRestore: { ...adminRoute('POST', `${ADMIN_TENANT}/restore`, 'owner'), deadlineMs: DEADLINE_MS.create },
  tenantDelete: { ...adminRoute('DELETE', ADMIN_TENANT, 'owner'), query: ['cascade'] },
  issuerCheck: { ...adminRoute('POST', `${ADMIN_TENANT}/issuers/check`, 'operator'), repeatable: true },
  apiTokenList: listRoute(adminRoute('GET', `${ADMIN_TENANT}/api-tokens`, 'viewer')),
  apiTokenCreate: adminRoute('POST', `${ADMIN_TENANT}/api-tokens`, 'operator'),
  apiTokenDelete: adminRoute('DELETE', `${ADMIN_TENANT}/api-tokens/:token_id`, 'operator'),
  turnKeyImport: {
    ...adminRoute('POST', `${ADMIN_TENANT}/turn-keys/import`, 'owner'),
    deadlineMs: DEADLINE_MS.create,
    repeatable: true,
  },
  apiTokenRoll: adminRoute('POST', `${ADMIN_TENANT}/api-tokens/:token_id/roll`, 'operator'),
  accountGet: adminRoute('GET', '/v1/admin/account', 'viewer'),
  accountSweep: { ...adminRoute('POST', '/v1/admin/account/sweep', 'operator'), repeatable: true },
  accountAuditList: listRoute(adminRoute('GET', '/v1/admin/audit-events', 'viewer'), AUDIT_FILTERS),
  resealOrder: { ...adminRoute('POST', '/v1/admin/reseal', 'owner'), repeatable: true },
  resealProgress: adminRoute('GET', '/v1/admin/reseal', 'viewer'),
  tokenCheckReplace: { ...adminRoute('POST', '/v1/admin/token-check', 'owner'), repeatable: true },
  tokenCheckGet: adminRoute('GET', '/v1/admin/token-check', 'viewer'),
} as const satisfies Record<string, Route>

export type RouteName = keyof typeof ROUTES

/** Under these prefixes errors use Cloudflare's envelope, even for unknown paths. */
export const CLOUDFLARE_PREFIXES = ['/client/v4/', '/v1/turn/'] as const
