/** Mounts a handler at its route in contract/routes.ts, with the route's guard, deadline and name in the log. */
import { within } from '../concurrency/deadline.ts'
import { ROUTES, type Route, type RouteName } from '../contract/routes.ts'
import { BrokerError } from '../errors.ts'
import { guard } from './caller/guard.ts'
import type { App, Ctx } from './context.ts'
import { renderMissing } from './errors.ts'
import { checkQuery } from './query.ts'

/** Reads the request to its last byte and returns the operation, which runs within the route's deadline. */
export type Handler = (c: Ctx) => Promise<() => Promise<Response>> | (() => Promise<Response>)

export function mount(app: App, name: RouteName, handler: Handler): void {
  const route: Route = ROUTES[name]
  app.on(route.method, route.path, async (c) => {
    c.set('route', name)
    // Hono serves HEAD by the handler of GET. A credential that is issued to HEAD would be read by no caller.
    if (c.req.method === 'HEAD' && route.issues) return renderMissing(c)
    const admission = await guard(c, route)
    checkQuery(c, route)
    const operation = await handler(c)
    // The deadline counts from the last byte of the request. Work that is still running then goes on without its caller.
    return admission.cacheRefusal(() =>
      within(route.deadlineMs, operation(), () => {
        throw lateError(route)
      }),
    )
  })
}

const lateError = (route: Route) =>
  route.method === 'GET' || route.repeatable
    ? new BrokerError('upstream_timeout')
    : new BrokerError('outcome_unknown', { doNotRepeat: true })
