/** What a request carries through the app. Hono's context stays in http/; nothing below it knows Hono. */
import type { Context, Hono } from 'hono'
import type { Caller } from '../auth/caller.ts'
import type { TenantSnapshot } from '../cache/entries.ts'
import type { RouteName } from '../contract/routes.ts'
import type { Config } from '../env.ts'
import type { ErrorCode } from '../errors.ts'
import type { IsolateCache } from './isolateCache.ts'

export interface AppEnv {
  Bindings: Env
  Variables: {
    requestId: string
    config: Config
    edge: IsolateCache
    /** Set when a route was matched. */
    route?: RouteName
    /** Set by the guard. */
    caller?: Caller
    /** The tenant in the path, once it is known that the caller may speak of it. */
    tenant?: string
    /** What KV holds of that tenant, however old: the door must check that it is fresh. */
    snapshot?: TenantSnapshot
    /** The code that was answered, for the log line. */
    code?: ErrorCode
    cacheStatus?: string
    /** The browser door knows that the request's origin is in the policy. */
    originAllowed?: boolean
  }
}

export type App = Hono<AppEnv>
export type Ctx = Context<AppEnv>
