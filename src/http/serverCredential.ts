/** How a server's credential is asked for: by an API token or an operator, whichever form its answer then has. */
import { BrokerError } from '../errors.ts'
import type { Issued, IssueRequest } from '../rpc/issuing.ts'
import { callOf, tenantOf } from './call.ts'
import type { Ctx } from './context.ts'
import { call, tenantObject } from './objects.ts'

export const serverRequest = (c: Ctx, what: Pick<IssueRequest, 'subject' | 'ttl' | 'keyId'>): IssueRequest => ({
  ...what,
  requestId: c.get('requestId'),
  asker: { kind: 'server', caller: callOf(c).caller },
  origin: null,
  reuse: 'never',
})

export async function issueToServer(c: Ctx, request: IssueRequest): Promise<Issued> {
  const it = await call(tenantObject(c, tenantOf(c)).issue(request))
  // Without reuse there is no fallback: a server is given a credential or an error.
  if (it.source === 'stun-only') throw new BrokerError('internal')
  return it
}
