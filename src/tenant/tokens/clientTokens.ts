/** Making client tokens: within the policy, signed with a key derived for the tenant, recorded on the audit trail. */
import { signClientToken } from '../../auth/clientTokens.ts'
import { allowsOrigin } from '../../contract/policy/origins.ts'
import type { ClientTokenAnswer, ClientTokenCreate } from '../../contract/resources/clientTokens.ts'
import { instant } from '../../contract/values.ts'
import { BrokerError } from '../../errors.ts'
import type { Call } from '../../rpc/calls.ts'
import { audit } from '../../storage/audit.ts'
import { authorize } from '../core/authorization.ts'
import type { TenantContext } from '../core/context.ts'
import { requireActive } from '../core/tenantRow.ts'
import { findSubject } from '../ledger/subjects.ts'
import { mintingKey } from '../turnKeys/lineage.ts'

/** Stands for the API token in a client token that an operator made. */
const OPERATOR = 'operator'

export async function createClientToken(
  ctx: TenantContext,
  call: Call & { readonly input: ClientTokenCreate },
): Promise<ClientTokenAnswer> {
  const { caller, input } = call
  const { actor } = authorize(ctx, caller, 'client_tokens:create')
  const { id: tenant, policy } = requireActive(ctx)
  if (input.origin !== undefined && !allowsOrigin(policy.allowedOrigins, input.origin)) {
    throw new BrokerError('invalid_request', { detail: 'origin: must be allowed by the policy' })
  }
  if (input.credentialTtl !== undefined && input.credentialTtl > policy.maxTtl) {
    throw new BrokerError('ttl_too_long', { detail: `credentialTtl: must be at most ${policy.maxTtl} seconds` })
  }
  if (input.keyId !== undefined && !mintingKey(ctx.sql, input.keyId)) {
    throw new BrokerError('invalid_request', { detail: 'keyId: no such TURN key' })
  }

  const { token, expiresAt } = await signClientToken(
    { rootKeys: ctx.config.rootKeys, deployment: ctx.config.deployment, tenant },
    {
      tokenId: caller.kind === 'operator' ? OPERATOR : caller.id,
      subject: input.subject,
      origin: input.origin ?? null,
      credentialTtl: input.credentialTtl ?? null,
      keyId: input.keyId ?? null,
    },
    { now: ctx.now(), seconds: input.ttl },
  )
  ctx.transact(() => {
    audit(ctx.sql, ctx.now(), {
      actor,
      action: 'client_token.create',
      subjectId: findSubject(ctx.sql, input.subject)?.id,
      outcome: 'done',
      requestId: call.requestId,
      origin: input.origin,
    })
  })
  return { token, expiresAt: instant(expiresAt) }
}
