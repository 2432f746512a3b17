/** Operators who come through Cloudflare Access: the assertion in the header, never the cookie, and where a change must come from. */
import { type AccessIdentity, type AccessTrust, isAdminHost, type Operator, readAssertion } from '../../auth/admin.ts'
import type { Config } from '../../env.ts'
import { BrokerError } from '../../errors.ts'
import { type Ctx, hostOf } from '../context.ts'

/** Throws `invalid_token`, or `origin_not_allowed` for a change that another site may have caused. */
export async function accessOperator(c: Ctx): Promise<Operator> {
  const config = c.get('config')
  const { access } = config
  const assertion = c.req.header('Cf-Access-Jwt-Assertion')
  if (!access || assertion === undefined || !isAdminHost(config, hostOf(c))) throw new BrokerError('invalid_token')
  const { jwks } = c.get('isolateCache')
  const waitUntil = (work: Promise<unknown>) => c.executionCtx.waitUntil(work)
  const keysAt: AccessTrust['keysAt'] = (url, need) => jwks.keys(url, { need, waitUntil })
  const identity = await readAssertion({ access, keysAt, now: Date.now() }, assertion)
  if (typeof identity === 'string') {
    c.set('reason', identity)
    throw new BrokerError('invalid_token')
  }
  requireOwnOrigin(c, identity)
  return identity.operator
}

/** Access lets a browser in by a cookie, which it sends with requests that pages of other sites cause (CSRF). */
function requireOwnOrigin(c: Ctx, { isService }: AccessIdentity): void {
  if (c.req.method === 'GET' || c.req.method === 'HEAD') return
  const site = c.req.header('Sec-Fetch-Site')
  const origin = c.req.header('Origin')
  if (site === 'same-origin' || origin === new URL(c.req.url).origin) return
  const isNoBrowser = isService || c.req.header('Cookie') === undefined
  if (site === undefined && origin === undefined && isNoBrowser) return
  throw new BrokerError('origin_not_allowed', {
    detail: 'A change through Cloudflare Access must come from a page of the broker: Sec-Fetch-Site, or Origin.',
  })
}

/** Says in the log, which strangers cannot read, that nothing opens the admin door. */
export function warnIfDoorIsClosed({ adminToken, access }: Config): void {
  if (adminToken === undefined && !access) {
    const detail = 'Neither ADMIN_TOKEN nor ACCESS_TEAM_DOMAIN is configured.'
    console.warn(JSON.stringify({ level: 'warn', event: 'admin_door_closed', detail }))
  }
}
