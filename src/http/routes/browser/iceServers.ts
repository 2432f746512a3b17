/**
 * The browser door: takes a client token or a JWT of the tenant's identity provider, and answers ICE servers. The token
 * comes
 * as `Authorization: Bearer`, or as the form field `access_token` (RFC 6750 §2.2). A form is a CORS simple
 * request: no
 * preflight, one round trip.
 */
import { bearerOf } from '../../../auth/bearer.ts'
import { type IceServersAnswer, IceServersRequest } from '../../../contract/resources/credentials.ts'
import { instant, MAX_TTL_SECONDS, secondsLeft, TenantId, TtlSeconds } from '../../../contract/values.ts'
import { BrokerError } from '../../../errors.ts'
import type { Issued, StunOnly } from '../../../rpc/issuing.ts'
import { isForm, malformed, readBytes, readForm, readJson } from '../../body.ts'
import { identify } from '../../caller/browserCaller.ts'
import { answerPreflight, readOrigin, requireAllowedOrigin, setCachedCorsHeaders } from '../../caller/cors.ts'
import { countingUnproven, limitAddress, limitSubject, limitTenant } from '../../caller/rateLimits.ts'
import type { App, Ctx } from '../../context.ts'
import { issue } from '../../lender.ts'
import { mount } from '../../mount.ts'

const STUN_ONLY_SECONDS = 60
const LEAST_REFRESH_SECONDS = 5

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
      const { asker, subject, keyId } = await countingUnproven(c, () => identify(c, tenant, token))
      await limitTenant(c, tenant)
      await limitSubject(c, tenant, subject)
      c.set('tenant', tenant)
      await requireAllowedOrigin(c, tenant, origin)
      const begun = Date.now()
      const issued = await issue(c, tenant, {
        requestId: c.get('requestId'),
        asker,
        subject,
        requestedTtlSeconds,
        keyId,
        origin,
        reuse: 'allowed',
      })
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

/** The token, from the header or the form, and the requested ttl. A token in both places is an error. */
async function readRequest(c: Ctx): Promise<{ token: string; requestedTtlSeconds: number | null }> {
  const header = c.req.header('Authorization')
  const bearer = bearerOf(header)
  if (header !== undefined && bearer === undefined) throw new BrokerError('invalid_token')
  const { accessToken, requestedTtlSeconds } = isForm(c) ? await readFormRequest(c) : await readJsonRequest(c)
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

async function readJsonRequest(c: Ctx): Promise<Fields> {
  const empty = c.req.header('Content-Type') === undefined && !(await hasBody(c))
  const requestedTtlSeconds = empty ? null : ((await readJson(c, IceServersRequest)).value.ttl ?? null)
  return { accessToken: undefined, requestedTtlSeconds }
}

/** Whether the request has a body. Read only if there is no content type. */
async function hasBody(c: Ctx): Promise<boolean> {
  return c.req.raw.body !== null && (await readBytes(c.req.raw)).byteLength > 0
}

async function readFormRequest(c: Ctx): Promise<Fields> {
  const form = await readForm(c, ['access_token', 'ttl'])
  const ttlText = form.get('ttl')
  return {
    accessToken: form.get('access_token') ?? undefined,
    requestedTtlSeconds: ttlText === null ? null : ttlSecondsIn(ttlText),
  }
}

/** Decimal digits only: no sign, no leading zero, no exponent. */
function ttlSecondsIn(text: string): number {
  const ttlSeconds = TtlSeconds.safeParse(/^[1-9][0-9]*$/.test(text) ? Number(text) : undefined)
  if (!ttlSeconds.success) throw malformed(`ttl: must be an integer from 1 to ${MAX_TTL_SECONDS}`)
  return ttlSeconds.data
}
