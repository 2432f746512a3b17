/**
 * What becomes of a tenant's JWT that is refused: a reason code in the log line, and in the tenant's audit trail if the token is
 * signed by the tenant's provider. A forged token reaches no object. The caller is never answered the reason.
 */
import { checkTenantJwt, type ParsedJwt, type TrustedIssuers } from '../../auth/tenantJwts.ts'
import type { JwtReason } from '../../contract/policy/jwtReasons.ts'
import { BrokerError } from '../../errors.ts'
import type { Ctx } from '../context.ts'
import { tenantObject } from '../objects.ts'

/** Reasons about the recipient, the times, the claims or the subject: such a token may be signed well all the same. */
const MAY_BE_SIGNED = /^(aud|client|alg_not|exp|nbf|not_yet|iat|issued|life|claim|subject)/

/** The refusal, with its reason for the log line. */
export function refusedJwt(c: Ctx, reason: JwtReason): BrokerError {
  c.set('reason', reason)
  return new BrokerError('invalid_token')
}

/**
 * Records the refusal in the audit trail, in the background: once in 5 s for each tenant and isolate, and only of a token whose
 * signature is good.
 */
export function noteRefusedJwt(
  c: Ctx,
  { tenant, trust, jwt, reason }: { tenant: string; trust: TrustedIssuers; jwt: ParsedJwt; reason: JwtReason },
): void {
  const { refusedJwts } = c.get('isolateCache')
  if (!MAY_BE_SIGNED.test(reason) || refusedJwts.get(tenant)) return
  refusedJwts.set(tenant, true)
  const note = async () => {
    const { entry, results } = await checkTenantJwt(trust, jwt.token, Date.now())
    const isSigned = results.some((it) => it.rule === 'signature' && it.reason === null)
    const named = trust.issuers[entry ?? -1]
    if (!isSigned || !named) return
    const [requestId, origin] = [c.get('requestId'), c.req.header('Origin') ?? null]
    await tenantObject(c, tenant).noteRefusedJwt({ issuer: named.issuer, reason, requestId, origin })
  }
  c.executionCtx.waitUntil(note().catch(() => undefined))
}
