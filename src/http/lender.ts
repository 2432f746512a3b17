/**
 * Asks a Tenant for a credential and lends it the connections of this request: a Durable Object has six for all its callers. The
 * Tenant decides, records and answers; what is lent sends one mint of this request and nothing else. Not logged, not traced.
 */
import { mintSender } from '../cloudflare/mintCall.ts'
import type { Issued, IssueRequest, StunOnly } from '../rpc/issuing.ts'
import type { Ctx } from './context.ts'
import { call, tenantObject } from './objects.ts'

/** Throws the Tenant's refusal. */
export function issue(c: Ctx, tenant: string, request: IssueRequest): Promise<Issued | StunOnly> {
  const { lendConnections, rtcUrl } = c.get('config')
  const upstream = { fetch: (url: string, init: RequestInit) => fetch(url, init), now: () => Date.now() }
  const asked = tenantObject(c, tenant).issue(request, lendConnections ? mintSender(rtcUrl, upstream) : null)
  // A caller who hangs up leaves the mint half a minute to end.
  c.executionCtx.waitUntil(asked.catch(() => undefined))
  return call(asked)
}
