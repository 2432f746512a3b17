/**
 * CORS of the browser door, with the origins of the tenant's policy. Errors carry the headers too, so that a page
 * can read why it was refused. An origin protects against other pages only: a program can send any. The Tenant checks
 * it again when it issues a credential.
 */
import { isFresh, type TenantSnapshot } from '../../cache/entries.ts'
import { allowsOrigin, isOriginShaped } from '../../contract/policy/origins.ts'
import { TenantId } from '../../contract/values.ts'
import { BrokerError } from '../../errors.ts'
import { malformed } from '../body.ts'
import type { Ctx } from '../context.ts'
import { cachedSnapshot, recheckedSnapshot, tenantSnapshot } from './snapshots.ts'

const EXPOSED = 'Retry-After, X-Request-Id, Server-Timing'
const PREFLIGHT_SECONDS = 7_200
const MAX_REQUESTED_HEADERS = 30
const MAX_REQUESTED_CHARACTERS = 1_024
/** Of a header's name (RFC 9110 §5.6.2). */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/

/**
 * Sets the CORS headers that need no look-up, before the rate limit and every other check. So a page with a cached
 * origin can read any refusal.
 */
export function setCachedCorsHeaders(c: Ctx): void {
  c.header('Vary', c.req.method === 'OPTIONS' ? 'Origin, Access-Control-Request-Headers' : 'Origin')
  const origin = c.req.header('Origin')
  const cached = c.get('isolateCache').snapshots.get(c.req.param('tenant') ?? '')
  if (origin !== undefined && cached && allowsOrigin(cached.allowedOrigins, origin)) allowOrigin(c, origin)
}

/**
 * The request's origin; `null` without one (native apps). If a fresh cached snapshot allows the origin, sets the CORS
 * headers; if it does not, the Tenant is asked, at most once in 5 s, before `origin_not_allowed` is thrown. Without a fresh
 * snapshot `requireAllowedOrigin` decides later.
 */
export async function readOrigin(c: Ctx, tenant: string): Promise<string | null> {
  const origin = c.req.header('Origin')
  if (origin === undefined) return null
  if (!isOriginShaped(origin)) throw new BrokerError('origin_not_allowed')
  const snapshot = await cachedSnapshot(c, tenant)
  if (snapshot && isFresh(snapshot, Date.now())) await checkOrigin(c, tenant, snapshot, origin)
  // A stale snapshot only lets its pages read errors, such as an expired token. It does not allow the origin.
  else if (snapshot && allowsOrigin(snapshot.allowedOrigins, origin)) allowOrigin(c, origin)
  return origin
}

/** Asks the Tenant for its origins if `readOrigin` could not decide. Call it only after the token was verified. */
export async function requireAllowedOrigin(c: Ctx, tenant: string, origin: string | null): Promise<void> {
  if (origin === null || c.get('originAllowed')) return
  const snapshot = await tenantSnapshot(c, tenant)
  // Without a snapshot the tenant is being deleted, and the operation itself refuses the token.
  if (snapshot) await checkOrigin(c, tenant, snapshot, origin)
}

export async function answerPreflight(c: Ctx): Promise<Response> {
  const tenant = TenantId.safeParse(c.req.param('tenant'))
  if (!tenant.success) throw new BrokerError('not_found')
  const origin = await readOrigin(c, tenant.data)
  if (origin === null) throw new BrokerError('origin_not_allowed')
  const headers = requestedHeaders(c)
  await requireAllowedOrigin(c, tenant.data, origin)
  // An unknown or deleted tenant has no allowed origins.
  if (!c.get('originAllowed')) throw originRefused(c)
  c.header('Access-Control-Allow-Methods', 'POST')
  c.header('Access-Control-Allow-Headers', headers)
  c.header('Access-Control-Max-Age', String(PREFLIGHT_SECONDS))
  return c.body(null, 204)
}

/**
 * The headers that the page may send: what the door reads, and all that the page asks for. The door ignores every other
 * header and takes no cookie, so a refusal would only break pages whose tracing adds some.
 */
function requestedHeaders(c: Ctx): string {
  const text = c.req.header('Access-Control-Request-Headers') ?? ''
  const names = text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
  const isTaken =
    text.length <= MAX_REQUESTED_CHARACTERS &&
    names.length <= MAX_REQUESTED_HEADERS &&
    names.every((name) => TOKEN.test(name))
  if (!isTaken)
    throw malformed(
      `Access-Control-Request-Headers: must be at most ${MAX_REQUESTED_HEADERS} header names in ${MAX_REQUESTED_CHARACTERS} characters`,
    )
  return [
    'Authorization',
    'Content-Type',
    ...names.filter((name) => !/^(authorization|content-type)$/i.test(name)),
  ].join(', ')
}

/** Throws `origin_not_allowed` when neither the snapshot nor the Tenant allows the origin. */
async function checkOrigin(c: Ctx, tenant: string, snapshot: TenantSnapshot, origin: string): Promise<void> {
  const allows = ({ allowedOrigins }: TenantSnapshot) => allowsOrigin(allowedOrigins, origin)
  // An origin that was just added is not in the snapshot yet.
  if (!allows(snapshot) && !allows(await recheckedSnapshot(c, tenant, snapshot))) throw originRefused(c)
  c.set('originAllowed', true)
  allowOrigin(c, origin)
}

/** Removes the headers that a stale snapshot may have set. */
function originRefused(c: Ctx): BrokerError {
  c.header('Access-Control-Allow-Origin', undefined)
  c.header('Access-Control-Expose-Headers', undefined)
  return new BrokerError('origin_not_allowed')
}

function allowOrigin(c: Ctx, origin: string): void {
  c.header('Access-Control-Allow-Origin', origin)
  c.header('Access-Control-Expose-Headers', EXPOSED)
}
