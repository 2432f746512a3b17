/** Mounts a handler under its route of the contract: with it come the guard, the deadline and the log's route name. */
import { within } from '../concurrency/deadline.ts'
import { ROUTES, type Route, type RouteName } from '../contract/routes.ts'
import { BrokerError } from '../errors.ts'
import { guard } from './caller/guard.ts'
import type { App, Ctx } from './context.ts'

/** Works through the request up to its last byte, and returns what is to be done then. */
export type Handler = (c: Ctx) => Promise<() => Promise<Response>> | (() => Promise<Response>)

export function mount(app: App, name: RouteName, handler: Handler): void {
  const route: Route = ROUTES[name]
  app.on(route.method, route.path, async (c) => {
    c.set('route', name)
    const verdict = await guard(c, route)
    const work = await handler(c)
    // The deadline counts from the last byte of the request. Work that is still running then goes on without its caller.
    return verdict.remembering(() =>
      within(route.deadlineMs, work(), () => {
        throw lateError(route)
      }),
    )
  })
}

const lateError = (route: Route) =>
  route.method === 'GET' || route.repeatable
    ? new BrokerError('upstream_timeout')
    : new BrokerError('outcome_unknown', { doNotRepeat: true })
