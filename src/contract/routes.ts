/**
 * Every route of the broker. The doors are built from this table: a handler is mounted by its name here and gets
 * its guard, its deadline and its error dialect with it, so that no route exists without them.
 */
import type { Scope } from './scopes.ts'

/** Seconds are counted from the last byte of the request. */
const DEADLINE_MS = { plain: 10_000, create: 12_000 } as const

export interface Route {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** Hono's pattern. `:account_id` and `:tenant` both hold a tenant's id. */
  readonly path: string
  /** Who may come in: anyone, an API token of the tenant (or an operator) with the scope, an operator. */
  readonly access: 'public' | 'admin' | { readonly scope: Scope }
  /** How errors are written: `application/problem+json`, or Cloudflare's envelope. */
  readonly dialect: 'native' | 'cloudflare'
  readonly deadlineMs: number
}

const KEYS = '/client/v4/accounts/:account_id/calls/turn_keys'
const KEY = `${KEYS}/:key_id`
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

export const ROUTES = {
  health: open('/healthz'),
  ready: open('/readyz'),

  turnKeyList: twin('GET', KEYS, 'turn_keys:read'),
  turnKeyCreate: twin('POST', KEYS, 'turn_keys:write'),
  turnKeyGet: twin('GET', KEY, 'turn_keys:read'),
  turnKeyUpdate: twin('PUT', KEY, 'turn_keys:write'),
  turnKeyDelete: twin('DELETE', KEY, 'turn_keys:write'),

  tenantSelf: server('GET', '/v1/tenants/:tenant', 'tenant:read'),

  tenantList: admin('GET', '/v1/admin/tenants'),
  tenantCreate: admin('POST', '/v1/admin/tenants'),
  tenantGet: admin('GET', ADMIN_TENANT),
  tenantPatch: admin('PATCH', ADMIN_TENANT),
  tenantDelete: admin('DELETE', ADMIN_TENANT),
  apiTokenList: admin('GET', `${ADMIN_TENANT}/api-tokens`),
  apiTokenCreate: admin('POST', `${ADMIN_TENANT}/api-tokens`),
  apiTokenDelete: admin('DELETE', `${ADMIN_TENANT}/api-tokens/:token_id`),
  apiTokenRoll: admin('POST', `${ADMIN_TENANT}/api-tokens/:token_id/roll`),
} as const satisfies Record<string, Route>

export type RouteName = keyof typeof ROUTES

/** Paths under these prefixes answer errors in Cloudflare's envelope, also where no route is. */
export const CLOUDFLARE_PREFIXES = ['/client/v4/', '/v1/turn/'] as const
