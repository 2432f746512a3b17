/** Issues a credential to a server (API token or operator). The routes only differ in the form of the answer. */
import { BrokerError } from '../errors.ts'
import type { Issued, IssueRequest } from '../rpc/issuing.ts'
import { callOf, tenantOf } from './call.ts'
import type { Ctx } from './context.ts'
import { call, tenantObject } from './objects.ts'

export const serverRequest = (c: Ctx, wanted: Pick<IssueRequest, 'subject' | 'ttl' | 'keyId'>): IssueRequest => ({
  ...wanted,
  requestId: c.get('requestId'),
  asker: { kind: 'server', caller: callOf(c).caller },
  origin: null,
  reuse: 'never',
})

export async function issueToServer(c: Ctx, request: IssueRequest): Promise<Issued> {
  const issued = await call(tenantObject(c, tenantOf(c)).issue(request))
  // The STUN fallback is for browsers only.
  if (issued.source === 'stun-only') throw new BrokerError('internal')
  return issued
}
