/** Middleware of every request: request id, https, configuration, security headers, one log line of allowed fields. */
import { createMiddleware } from 'hono/factory'
import { actorOf } from '../auth/caller.ts'
import { isLoopbackHost, isLoopbackUrl } from '../contract/hosts.ts'
import { parseConfig } from '../env.ts'
import { BrokerError } from '../errors.ts'
import type { AppEnv, Ctx } from './context.ts'
import type { IsolateCache } from './isolateCache.ts'

const HSTS = 'max-age=31536000'

export const frame = (isolateCache: IsolateCache) =>
  createMiddleware<AppEnv>(async (c, next) => {
    const begun = Date.now()
    c.set('requestId', crypto.randomUUID())
    c.set('isolateCache', isolateCache)
    await next()
    const { headers } = c.res
    headers.set('X-Request-Id', c.get('requestId'))
    headers.set('Strict-Transport-Security', HSTS)
    headers.set('X-Content-Type-Options', 'nosniff')
    if (!headers.has('Cache-Control')) headers.set('Cache-Control', 'no-store')
    const cacheStatus = c.get('cacheStatus')
    if (cacheStatus !== undefined) headers.set('Cache-Status', cacheStatus)
    logRequest(c, Date.now() - begun)
  })

/** Plain http is accepted on loopback only. It is refused and not redirected, because the token was already sent. */
export const requireHttps = createMiddleware<AppEnv>((c, next) => {
  if (!c.req.url.startsWith('https:') && !isLocal(c)) throw new BrokerError('https_required')
  return next()
})

function isLocal(c: Ctx): boolean {
  const address = c.req.header('CF-Connecting-IP')
  return isLoopbackUrl(c.req.url) && (address === undefined || isLoopbackAddress(address))
}

export const requireConfig = createMiddleware<AppEnv>((c, next) => {
  const parsed = parseConfig(c.env)
  // Operators and servers get the variable's name; pages do not.
  const isServer = !c.req.path.endsWith('/ice-servers')
  if (!parsed.ok)
    throw new BrokerError('misconfigured', isServer ? { detail: `${parsed.variable} is missing or malformed.` } : {})
  c.set('config', parsed.config)
  return next()
})

const isLoopbackAddress = (address: string) => address === '::1' || isLoopbackHost(address)

/** Logs ids, route names and codes only. Must not log a URL, a header or a body. */
function logRequest(c: Ctx, ms: number): void {
  const caller = c.get('caller')
  console.log(
    JSON.stringify({
      level: 'info',
      event: 'request',
      requestId: c.get('requestId'),
      method: c.req.method,
      route: c.get('route') ?? null,
      status: c.res.status,
      code: c.get('code') ?? null,
      reason: c.get('reason') ?? null,
      tenant: c.get('tenant') ?? null,
      actor: caller ? actorOf(caller) : null,
      cache: c.get('cacheStatus') ?? null,
      ms,
    }),
  )
}
