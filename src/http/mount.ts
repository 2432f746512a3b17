/** Mounts a handler at its route in contract/routes.ts, with the route's guard, deadline and name in the log. */
import { ROUTES, type Route, type RouteName } from '../contract/routes.ts'
import { BrokerError } from '../errors.ts'
import { guard } from './caller/guard.ts'
import type { App, Ctx } from './context.ts'

/** Reads the request to its last byte and returns the operation, which runs within the route's deadline. */
export type Handler = (c: Ctx) => Promise<() => Promise<Response>> | (() => Promise<Response>)

export function mount(app: App, name: RouteName, handler: Handler): void {
  const route: Route = ROUTES[name]
  app.on(route.method, route.path, async (c) => {
    c.set('route', name)
    const admission = await guard(c, route)
    const operation = await handler(c)
    return admission.cacheRefusal(() => within(route, operation()))
  })
}

/** The deadline counts from the last byte of the request. Work that misses it continues without its caller. */
async function within(route: Route, work: Promise<Response>): Promise<Response> {
  let timer: ReturnType<typeof setTimeout> | null = null
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(lateError(route)), route.deadlineMs)
  })
  try {
    return await Promise.race([work, deadline])
  } finally {
    clearTimeout(timer)
  }
}

const lateError = (route: Route) =>
  route.method === 'GET' || route.repeatable
    ? new BrokerError('upstream_timeout')
    : new BrokerError('outcome_unknown', { doNotRepeat: true })
