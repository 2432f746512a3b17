/**
 * The browser door: takes a client token or a JWT of the tenant's identity provider, and answers ICE servers. The token
 * comes as `Authorization: Bearer`, or in the body as `access_token` (RFC 6750 §2.2). A form, and JSON sent as `text/plain`,
 * are CORS simple requests: no preflight, one round trip.
 */
import { bearerOf } from '../../../auth/bearer.ts'
import { type IceServersAnswer, IceServersRequest } from '../../../contract/resources/credentials.ts'
import { instant, MAX_TTL_SECONDS, secondsLeft, TenantId, TtlSeconds } from '../../../contract/values.ts'
import { BrokerError } from '../../../errors.ts'
import type { Issued, StunOnly } from '../../../rpc/issuing.ts'
import { MAX_TOKEN_BODY_BYTES, malformed, mediaTypeOf, readAnyJson, readForm } from '../../body.ts'
import { askFor, identify } from '../../caller/browserCaller.ts'
import { answerPreflight, readOrigin, requireAllowedOrigin, setCachedCorsHeaders } from '../../caller/cors.ts'
import { countingUnproven, limitAddress, limitSubject, limitTenant } from '../../caller/rateLimits.ts'
import type { App, Ctx } from '../../context.ts'
import { issue } from '../../lender.ts'
import { mount } from '../../mount.ts'

const STUN_ONLY_SECONDS = 60
const LEAST_REFRESH_SECONDS = 5
const FORM = 'application/x-www-form-urlencoded'

export function iceServersRoutes(app: App): void {
  mount(app, 'iceServersPreflight', (c) => async () => {
    setCachedCorsHeaders(c)
    await limitAddress(c)
    return answerPreflight(c)
  })

  mount(app, 'iceServers', async (c) => {
    const { tenant, origin, token, requestedTtlSeconds } = await countingUnproven(c, () => readAll(c))
    return async () => {
      // Within the deadline, because it may fetch the key set of the tenant's identity provider.
      const caller = await countingUnproven(c, () => identify(c, tenant, token))
      await limitTenant(c, tenant)
      await limitSubject(c, tenant, caller.subject)
      c.set('tenant', tenant)
      await requireAllowedOrigin(c, tenant, origin)
      const begun = Date.now()
      const issued = await askFor(c, tenant, caller, ({ asker, subject, keyId }) =>
        issue(c, tenant, {
          requestId: c.get('requestId'),
          asker,
          subject,
          requestedTtlSeconds,
          keyId,
          origin,
          reuse: 'allowed',
        }),
      )
      c.header('Server-Timing', `tenant;dur=${Date.now() - begun}`)
      return c.json(answerOf(issued, Date.now()), 201)
    }
  })
}

/** Everything of the request, to its last byte. */
async function readAll(c: Ctx) {
  const tenant = TenantId.safeParse(c.req.param('tenant'))
  if (!tenant.success) throw new BrokerError('not_found')
  const origin = await readOrigin(c, tenant.data)
  return { tenant: tenant.data, origin, ...(await readRequest(c)) }
}

export function answerOf(issued: Issued | StunOnly, now: number): IceServersAnswer {
  const stun = issued.urls.stun.length > 0 ? [{ urls: issued.urls.stun }] : []
  if (issued.source === 'stun-only') {
    const expiresAt = instant(now + STUN_ONLY_SECONDS * 1_000)
    return { iceServers: stun, ttl: STUN_ONLY_SECONDS, expiresAt, refreshAfter: STUN_ONLY_SECONDS, source: 'stun-only' }
  }
  const { username, credential, issuedAt, expiresAt } = issued
  const halfOfLife = issuedAt + (expiresAt - issuedAt) / 2
  return {
    iceServers: [...stun, { urls: issued.urls.turn, username, credential }],
    ttl: secondsLeft(expiresAt, now),
    expiresAt: instant(expiresAt),
    refreshAfter: Math.max(LEAST_REFRESH_SECONDS, Math.floor((halfOfLife - now) / 1_000)),
    source: issued.source,
  }
}

/** The token, from the header or the body, and the requested ttl. A token in both places is an error. */
async function readRequest(c: Ctx): Promise<{ token: string; requestedTtlSeconds: number | null }> {
  const header = c.req.header('Authorization')
  const bearer = bearerOf(header)
  if (header !== undefined && bearer === undefined) throw new BrokerError('invalid_token')
  const { accessToken, requestedTtlSeconds } = await readFields(c)
  if (bearer !== undefined && accessToken !== undefined)
    throw malformed('access_token: must not be sent together with an Authorization header')
  const token = bearer ?? accessToken
  if (token === undefined) throw new BrokerError('invalid_token')
  return { token, requestedTtlSeconds }
}

interface Fields {
  readonly accessToken: string | undefined
  /** `null`: not asked. */
  readonly requestedTtlSeconds: number | null
}

/** Without a content type, as of a Blob without one, the body is JSON or empty. */
async function readFields(c: Ctx): Promise<Fields> {
  if (c.req.header('Content-Type') && mediaTypeOf(c, [FORM, 'application/json', 'text/plain']) === FORM) {
    const { access_token: accessToken, ttl } = await readForm(c, ['access_token', 'ttl'], MAX_TOKEN_BODY_BYTES)
    return { accessToken, requestedTtlSeconds: ttl === undefined ? null : ttlSecondsIn(ttl) }
  }
  const { value } = await readAnyJson(c, IceServersRequest, MAX_TOKEN_BODY_BYTES)
  return { accessToken: value.access_token, requestedTtlSeconds: value.ttl ?? null }
}

/** Decimal digits only: no sign, no leading zero, no exponent. */
function ttlSecondsIn(text: string): number {
  const ttlSeconds = TtlSeconds.safeParse(/^[1-9][0-9]*$/.test(text) ? Number(text) : undefined)
  if (!ttlSeconds.success) throw malformed(`ttl: must be an integer from 1 to ${MAX_TTL_SECONDS}`)
  return ttlSeconds.data
}
