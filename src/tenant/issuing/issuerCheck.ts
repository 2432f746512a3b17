/** What the Worker needs to check a token for an operator. The trail says that one was checked, and nothing of the token. */
import { actorOf } from '../../auth/caller.ts'
import type { TenantIssuer } from '../../contract/policy/issuers.ts'
import type { Call } from '../../rpc/calls.ts'
import { audit } from '../../storage/audit.ts'
import type { TenantContext } from '../core/context.ts'
import { requireNotDeleting } from '../core/tenantRow.ts'

/** The tenant's identity providers, also of one that is suspended. */
export function checkIssuers(ctx: TenantContext, { caller, requestId }: Call): readonly TenantIssuer[] {
  return ctx.transact(() => {
    const { policy } = requireNotDeleting(ctx)
    audit(ctx.sql, ctx.now(), { actor: actorOf(caller), action: 'issuer.check', outcome: 'done', requestId })
    return policy.issuers
  })
}
