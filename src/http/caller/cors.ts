/**
 * CORS of the browser door: exact origins of the tenant's policy, on errors too, so that a page can read why it was
 * refused. An origin binds browsers, not thieves. The Tenant decides again when a credential is issued.
 */
import { isFresh, type TenantSnapshot } from '../../cache/entries.ts'
import { WebOrigin } from '../../contract/policy/policy.ts'
import { TenantId } from '../../contract/values.ts'
import { BrokerError } from '../../errors.ts'
import type { Ctx } from '../context.ts'
import { tenantExists } from '../objects.ts'
import { askedSnapshot, knownSnapshot } from './snapshots.ts'

const EXPOSED = 'Retry-After, X-Request-Id, Server-Timing'
const PREFLIGHT_SECONDS = 7_200

/**
 * Before anything may be refused: the answer varies by origin, and a page this isolate knows may read the refusal.
 * Looks nothing up, so that it can stand before the rate.
 */
export function greet(c: Ctx): void {
  c.header('Vary', 'Origin')
  const origin = c.req.header('Origin')
  const remembered = c.get('edge').snapshots.get(c.req.param('tenant') ?? '')
  if (origin !== undefined && remembered?.allowedOrigins.includes(origin)) welcome(c, origin)
}

/**
 * The request's origin, `null` when it has none (native apps). Sets the headers if it is known to be allowed; throws
 * `origin_not_allowed` if it is known not to be. Asks no object: what is not known is settled by `settleOrigin`.
 */
export async function readOrigin(c: Ctx, tenant: string): Promise<string | null> {
  const origin = c.req.header('Origin')
  if (origin === undefined) return null
  if (!WebOrigin.safeParse(origin).success) throw new BrokerError('origin_not_allowed')
  const snapshot = await knownSnapshot(c, tenant)
  if (snapshot && isFresh(snapshot, Date.now())) decide(c, snapshot, origin)
  // Of an old one only so much is believed: its pages may read why they are refused, be it a token that has expired.
  else if (snapshot?.allowedOrigins.includes(origin)) welcome(c, origin)
  return origin
}

/** Decides what `readOrigin` could not, by asking the Tenant: only for a caller who has shown a good token. */
export async function settleOrigin(c: Ctx, tenant: string, origin: string | null): Promise<void> {
  if (origin === null || c.get('originAllowed')) return
  const snapshot = await askedSnapshot(c, tenant)
  // A tenant that is no more says itself what a token of it is worth.
  if (snapshot) decide(c, snapshot, origin)
}

export async function answerPreflight(c: Ctx): Promise<Response> {
  const tenant = TenantId.safeParse(c.req.param('tenant'))
  if (!tenant.success) throw new BrokerError('not_found')
  const origin = await readOrigin(c, tenant.data)
  if (origin === null) throw new BrokerError('origin_not_allowed')
  if (!c.get('originAllowed')) {
    if (await tenantExists(c, tenant.data)) await settleOrigin(c, tenant.data, origin)
    // A tenant that does not exist, or not any more, has no origins.
    if (!c.get('originAllowed')) throw refused(c)
  }
  c.header('Access-Control-Allow-Methods', 'POST')
  c.header('Access-Control-Allow-Headers', 'Authorization, Content-Type')
  c.header('Access-Control-Max-Age', String(PREFLIGHT_SECONDS))
  return c.body(null, 204)
}

function decide(c: Ctx, snapshot: TenantSnapshot, origin: string): void {
  if (!snapshot.allowedOrigins.includes(origin)) throw refused(c)
  c.set('originAllowed', true)
  welcome(c, origin)
}

/** Takes back the welcome of an older snapshot. */
function refused(c: Ctx): BrokerError {
  c.header('Access-Control-Allow-Origin', undefined)
  c.header('Access-Control-Expose-Headers', undefined)
  return new BrokerError('origin_not_allowed')
}

function welcome(c: Ctx, origin: string): void {
  c.header('Access-Control-Allow-Origin', origin)
  c.header('Access-Control-Expose-Headers', EXPOSED)
}
