/** Asks the Tenant for a server's credential, for an API token or an operator. The routes give the answer its form. */
import { BrokerError } from '../errors.ts'
import type { Issued, IssueRequest } from '../rpc/issuing.ts'
import { callOf, tenantOf } from './call.ts'
import type { Ctx } from './context.ts'
import { issue } from './lender.ts'

type RequestedCredential = Pick<IssueRequest, 'subject' | 'requestedTtlSeconds' | 'keyId'>

export const serverRequest = (c: Ctx, requested: RequestedCredential): IssueRequest => ({
  ...requested,
  requestId: c.get('requestId'),
  asker: { kind: 'server', caller: callOf(c).caller },
  origin: null,
  reuse: 'never',
})

/** Throws the Tenant's refusal. */
export async function issueToServer(c: Ctx, request: IssueRequest): Promise<Issued> {
  const issued = await issue(c, tenantOf(c), request)
  // The STUN fallback is for browsers only.
  if (issued.source === 'stun-only') throw new BrokerError('internal')
  return issued
}
