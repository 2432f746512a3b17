/** Types of Hono's context: the variables of a request. Only http/ and app.ts may import Hono. */
import type { Context } from 'hono'
import type { HonoBase } from 'hono/hono-base'
import type { Caller } from '../auth/caller.ts'
import type { JwtReason } from '../contract/policy/jwtReasons.ts'
import type { RouteName } from '../contract/routes.ts'
import type { Config } from '../env.ts'
import type { ErrorCode } from '../errors.ts'
import type { IsolateCache } from './isolateCache.ts'

export interface AppEnv {
  Bindings: Env
  Variables: {
    requestId: string
    config: Config
    isolateCache: IsolateCache
    /** Set when a route has matched. */
    route?: RouteName
    /** Set by the guard. */
    caller?: Caller
    /** The tenant of the request. Set after the guard has checked that the caller belongs to it. */
    tenant?: string
    /** The error code of the answer, for the log line. */
    code?: ErrorCode
    /** Why a tenant's JWT or an assertion of Cloudflare Access was refused, for the log line. Never a value of the JWT. */
    reason?: JwtReason
    /** The answer's `Cache-Status`, and `cache` in the log line. */
    cacheStatus?: string
    /** Set when the request's origin was found in the tenant's policy. */
    originAllowed?: boolean
  }
}

export type App = HonoBase<AppEnv>
export type Ctx = Context<AppEnv>

/** The `Host` of the request, with its port. */
export const hostOf = (c: Ctx): string => c.req.header('Host') ?? new URL(c.req.url).host
