/** Renders errors: problem+json (RFC 9457) for native routes, Cloudflare's envelope for Cloudflare's routes. */
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import { CLOUDFLARE_PREFIXES, ROUTES, type Route } from '../contract/routes.ts'
import { BrokerError, ERRORS, type Failure, MAX_RETRY_AFTER_SECONDS } from '../errors.ts'
import type { Ctx } from './context.ts'

const PROBLEM_TYPE = 'https://github.com/turn-broker/turn-broker/blob/main/docs/errors.md#'

/** Renders every error answer of the Worker. */
export function renderError(error: unknown, c: Ctx): Response {
  const failure = failureOf(error, c)
  const { status, title, sentence, cloudflareCode } = ERRORS[failure.code]
  const detail = failure.detail ?? sentence
  const retryAfter = boundedRetryAfter(failure, status)
  c.set('code', failure.code)

  c.header('Cache-Control', 'no-store')
  if (status === 401) c.header('WWW-Authenticate', routeOf(c)?.basic ? 'Bearer, Basic realm="API token"' : 'Bearer')
  if (retryAfter !== undefined) c.header('Retry-After', String(retryAfter))
  // Cloudflare's SDK retries 408, 409, 429 and 5xx unless this header forbids it.
  if (failure.doNotRepeat) c.header('x-should-retry', 'false')

  // No status of the table forbids a body.
  const httpStatus = status as ContentfulStatusCode
  if (dialectOf(c) === 'cloudflare') {
    const errors = [{ code: failure.cloudflareCode ?? cloudflareCode, message: detail }]
    return c.json({ success: false, errors, messages: [], result: null }, httpStatus)
  }
  const problem = {
    type: PROBLEM_TYPE + failure.code,
    title,
    status,
    detail,
    code: failure.code,
    requestId: c.get('requestId'),
    ...(retryAfter === undefined ? {} : { retryAfter }),
  }
  return c.body(JSON.stringify(problem), httpStatus, { 'Content-Type': 'application/problem+json' })
}

/** 404 for an unknown path, 405 with `Allow` for a known path with another method. */
export function renderMissing(c: Ctx): Response {
  const allowed = methodsAt(c.req.path)
  if (allowed.length === 0) return renderError(new BrokerError('not_found'), c)
  c.header('Allow', allowed.join(', '))
  return renderError(new BrokerError('method_not_allowed'), c)
}

function failureOf(error: unknown, c: Ctx): Failure {
  if (error instanceof BrokerError) return error.failure
  // The exception's message may hold secrets, so only its class is logged.
  const exception = error instanceof Error ? error.name : typeof error
  console.error(JSON.stringify({ level: 'error', event: 'unforeseen', requestId: c.get('requestId'), exception }))
  return { code: 'internal' }
}

function boundedRetryAfter(failure: Failure, status: number): number | undefined {
  if (failure.retryAfterSeconds !== undefined)
    return Math.min(Math.max(1, failure.retryAfterSeconds), MAX_RETRY_AFTER_SECONDS)
  return status === 503 ? 1 : undefined
}

const routeOf = (c: Ctx): Route | undefined => {
  const name = c.get('route')
  return name && ROUTES[name]
}

function dialectOf(c: Ctx): Route['dialect'] {
  const route = routeOf(c)
  if (route) return route.dialect
  return CLOUDFLARE_PREFIXES.some((prefix) => c.req.path.startsWith(prefix)) ? 'cloudflare' : 'native'
}

const PATTERNS = Object.values(ROUTES).map(({ method, path }) => ({
  method,
  pattern: new RegExp(`^${path.replaceAll(/:[a-z_]+/g, '[^/]+')}$`),
}))

const methodsAt = (path: string): string[] =>
  PATTERNS.filter(({ pattern }) => pattern.test(path)).map(({ method }) => method)
