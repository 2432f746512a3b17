/** What surrounds every request: its id, https, configuration, safe headers, one log line from an allow-list of fields. */
import { createMiddleware } from 'hono/factory'
import { actorOf } from '../auth/caller.ts'
import { isLoopbackHost } from '../contract/hosts.ts'
import { parseConfig } from '../env.ts'
import { BrokerError } from '../errors.ts'
import type { AppEnv, Ctx } from './context.ts'
import type { IsolateCache } from './isolateCache.ts'

const HSTS = 'max-age=31536000'

export const frame = (edge: IsolateCache) =>
  createMiddleware<AppEnv>(async (c, next) => {
    const begun = Date.now()
    c.set('requestId', crypto.randomUUID())
    c.set('edge', edge)
    await next()
    const { headers } = c.res
    headers.set('X-Request-Id', c.get('requestId'))
    headers.set('Strict-Transport-Security', HSTS)
    headers.set('X-Content-Type-Options', 'nosniff')
    if (!headers.has('Cache-Control')) headers.set('Cache-Control', 'no-store')
    logRequest(c, Date.now() - begun)
  })

/** Plain http is for this machine only. It is refused, not redirected: the token has already crossed the wire. */
export const requireHttps = createMiddleware<AppEnv>(async (c, next) => {
  const url = new URL(c.req.url)
  const from = c.req.header('CF-Connecting-IP')
  const local = isLoopbackHost(url.hostname) && (from === undefined || isLoopbackAddress(from))
  if (url.protocol !== 'https:' && !local) throw new BrokerError('https_required')
  await next()
})

export const requireConfig = createMiddleware<AppEnv>(async (c, next) => {
  const parsed = parseConfig(c.env)
  // The variable's name helps whoever runs the broker; browsers are told nothing of it.
  const named = !c.req.path.endsWith('/ice-servers')
  if (!parsed.ok)
    throw new BrokerError('misconfigured', named ? { detail: `${parsed.variable} is missing or malformed.` } : {})
  c.set('config', parsed.config)
  await next()
})

const isLoopbackAddress = (address: string) => address === '::1' || isLoopbackHost(address)

/** No URL, no header, no body: ids, names of routes and codes only. */
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
      tenant: c.get('tenant') ?? null,
      actor: caller ? actorOf(caller) : null,
      cache: c.get('cacheStatus') ?? null,
      ms,
    }),
  )
}
