// Which errors a route can answer: what follows from its row in contract/routes.ts, and what operations/ adds.
import type { Route, RouteName } from '../../src/contract/routes.ts'
import type { ErrorCode } from '../../src/errors.ts'
import type { Operation } from './operation.ts'
import { namesInPath } from './parameters.ts'

/** Mounted before the configuration is read, and without any call. */
const BEFORE_CONFIGURATION: readonly RouteName[] = ['health', 'ready']

/** In the order of the table of errors. */
export function errorsOf(name: RouteName, route: Route, operation: Operation): ErrorCode[] {
  const found = new Set<ErrorCode>(['https_required', 'internal', ...(operation.errors ?? [])])
  const add = (...codes: ErrorCode[]) => {
    for (const code of codes) found.add(code)
  }
  if (!BEFORE_CONFIGURATION.includes(name)) {
    add('misconfigured', isRepeatable(route) ? 'upstream_timeout' : 'outcome_unknown')
  }
  if (route.access !== 'public') add('invalid_token', 'rate_limited', 'broker_busy', 'storage_failed')
  if (typeof route.access === 'object') add('insufficient_scope', 'subject_banned')
  if (route.access === 'admin') add('role_required')
  if (route.access === 'admin' && route.method !== 'GET') add('origin_not_allowed')
  if (namesInPath(route.path).length > 0) add('not_found')
  if (route.query || (route.unknownQuery ?? 'refused') === 'refused') add('invalid_request')
  if (operation.body) add('invalid_request', 'too_large', 'unsupported_media_type')
  if (operation.headers?.includes('If-Match')) add('invalid_request')
  if (operation.headers?.includes('Idempotency-Key')) add('idempotency_mismatch')
  return [...found]
}

/** As http/mount.ts sees it: after its deadline, such a route says that it may be sent again. */
const isRepeatable = (route: Route): boolean => route.method === 'GET' || route.repeatable === true
