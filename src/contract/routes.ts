/**
 * Every route of the broker. The doors are built from this table: a handler is mounted by its name here and gets
 * its guard, its deadline and its error dialect with it, so that no route exists without them.
 */
import type { Scope } from './scopes.ts'

/** Seconds are counted from the last byte of the request. */
const DEADLINE_MS = { plain: 10_000, create: 12_000, mint: 5_000 } as const

export interface Route {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'OPTIONS'
  /** Hono's pattern. `:account_id` and `:tenant` both hold a tenant's id. */
  readonly path: string
  /** Who may come in: anyone, a client token, an operator, or an API token of the tenant (or an operator) with the scope. */
  readonly access: 'public' | 'client-token' | 'admin' | { readonly scope: Scope }
  /** How errors are written: `application/problem+json`, or Cloudflare's envelope. */
  readonly dialect: 'native' | 'cloudflare'
  readonly deadlineMs: number
  /** Done twice it does no harm: a caller who was not answered in time may simply ask again. */
  readonly repeatable?: true
}

const KEYS = '/client/v4/accounts/:account_id/calls/turn_keys'
const KEY = `${KEYS}/:key_id`
const CREDENTIALS = '/v1/turn/keys/:key_id/credentials'
const TENANT = '/v1/tenants/:tenant'
const ADMIN_TENANT = '/v1/admin/tenants/:tenant'

const open = (path: string): Route => ({
  method: 'GET',
  path,
  access: 'public',
  dialect: 'native',
  deadlineMs: DEADLINE_MS.plain,
})
const admin = (method: Route['method'], path: string): Route => ({
  method,
  path,
  access: 'admin',
  dialect: 'native',
  deadlineMs: DEADLINE_MS.plain,
})
const server = (method: Route['method'], path: string, scope: Scope): Route => ({
  method,
  path,
  access: { scope },
  dialect: 'native',
  deadlineMs: DEADLINE_MS.plain,
})
const twin = (method: Route['method'], path: string, scope: Scope): Route => ({
  ...server(method, path, scope),
  dialect: 'cloudflare',
  deadlineMs: method === 'POST' ? DEADLINE_MS.create : DEADLINE_MS.plain,
})

const minting = (route: Route): Route => ({ ...route, deadlineMs: DEADLINE_MS.mint, repeatable: true })
/** The browser door is the only one that browsers may ask across origins. */
const browser = (method: 'POST' | 'OPTIONS', access: 'client-token' | 'public'): Route => ({
  method,
  path: `${TENANT}/ice-servers`,
  access,
  dialect: 'native',
  deadlineMs: DEADLINE_MS.mint,
  repeatable: true,
})

export const ROUTES = {
  health: open('/healthz'),
  ready: open('/readyz'),
  clientScript: open('/client.js'),
  clientScriptVersion: open('/client/:version'),

  turnKeyList: twin('GET', KEYS, 'turn_keys:read'),
  turnKeyCreate: twin('POST', KEYS, 'turn_keys:write'),
  turnKeyGet: twin('GET', KEY, 'turn_keys:read'),
  turnKeyUpdate: twin('PUT', KEY, 'turn_keys:write'),
  turnKeyDelete: twin('DELETE', KEY, 'turn_keys:write'),

  iceServers: browser('POST', 'client-token'),
  iceServersPreflight: browser('OPTIONS', 'public'),

  credentialGenerateIceServers: minting(twin('POST', `${CREDENTIALS}/generate-ice-servers`, 'credentials:issue')),
  credentialGenerate: minting(twin('POST', `${CREDENTIALS}/generate`, 'credentials:issue')),
  credentialRevoke: twin('POST', `${CREDENTIALS}/:username/revoke`, 'credentials:revoke'),

  tenantSelf: server('GET', TENANT, 'tenant:read'),
  clientTokenCreate: server('POST', `${TENANT}/client-tokens`, 'client_tokens:create'),
  turnRest: minting(server('GET', `${TENANT}/turn-rest`, 'credentials:issue')),
  credentialList: server('GET', `${TENANT}/credentials`, 'credentials:read'),
  subjectSearch: server('POST', `${TENANT}/subjects/search`, 'credentials:read'),
  subjectErase: server('DELETE', `${TENANT}/subjects/:subject_id`, 'credentials:revoke'),
  revocationCreate: server('POST', `${TENANT}/revocations`, 'credentials:revoke'),
  revocationGet: server('GET', `${TENANT}/revocations/:revocation_id`, 'credentials:revoke'),
  banList: server('GET', `${TENANT}/bans`, 'credentials:revoke'),
  banCreate: server('POST', `${TENANT}/bans`, 'credentials:revoke'),
  banLift: server('POST', `${TENANT}/bans/:ban_id/lift`, 'credentials:revoke'),
  turnKeyRotate: {
    ...server('POST', `${TENANT}/turn-keys/:key_id/rotate`, 'turn_keys:write'),
    deadlineMs: DEADLINE_MS.create,
  },
  auditList: server('GET', `${TENANT}/audit-events`, 'audit:read'),

  tenantList: admin('GET', '/v1/admin/tenants'),
  tenantCreate: admin('POST', '/v1/admin/tenants'),
  tenantGet: admin('GET', ADMIN_TENANT),
  tenantPatch: admin('PATCH', ADMIN_TENANT),
  tenantRestore: { ...admin('POST', `${ADMIN_TENANT}/restore`), deadlineMs: DEADLINE_MS.create },
  tenantDelete: admin('DELETE', ADMIN_TENANT),
  apiTokenList: admin('GET', `${ADMIN_TENANT}/api-tokens`),
  apiTokenCreate: admin('POST', `${ADMIN_TENANT}/api-tokens`),
  apiTokenDelete: admin('DELETE', `${ADMIN_TENANT}/api-tokens/:token_id`),
  turnKeyImport: {
    ...admin('POST', `${ADMIN_TENANT}/turn-keys/import`),
    deadlineMs: DEADLINE_MS.create,
    repeatable: true,
  },
  apiTokenRoll: admin('POST', `${ADMIN_TENANT}/api-tokens/:token_id/roll`),
  accountGet: admin('GET', '/v1/admin/account'),
  accountSweep: { ...admin('POST', '/v1/admin/account/sweep'), repeatable: true },
  accountAuditList: admin('GET', '/v1/admin/audit-events'),
} as const satisfies Record<string, Route>

export type RouteName = keyof typeof ROUTES

/** Paths under these prefixes answer errors in Cloudflare's envelope, also where no route is. */
export const CLOUDFLARE_PREFIXES = ['/client/v4/', '/v1/turn/'] as const
