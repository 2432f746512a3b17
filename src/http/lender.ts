/**
 * Asks a Tenant for a credential and lends it the connections of this request: a Durable Object has six for all its callers. The
 * Tenant decides, records and answers; what is lent sends one mint of this request and nothing else. Not logged, not traced.
 */
import { mintSender } from '../cloudflare/mintCall.ts'
import { within } from '../concurrency/deadline.ts'
import type { Issued, IssueRequest, StunOnly } from '../rpc/issuing.ts'
import type { Ctx } from './context.ts'
import { upstream } from './isolateCache.ts'
import { call, tenantObject } from './objects.ts'

/** More than a mint may take. */
const LANDING_MS = 10_000
const nothing = () => undefined

/** Throws the Tenant's refusal. */
export function issue(c: Ctx, tenant: string, request: IssueRequest): Promise<Issued | StunOnly> {
  const { lendConnections, rtcUrl } = c.get('config')
  const asked = tenantObject(c, tenant).issue(request, lendConnections ? mintSender(rtcUrl, upstream) : null)
  // A caller who hangs up leaves the mint time to end.
  const ended = asked.then(nothing, nothing)
  c.executionCtx.waitUntil(within(LANDING_MS, ended, nothing))
  return call(asked)
}
