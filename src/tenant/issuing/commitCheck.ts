/** What is read again before a credential is committed: whether it is of use, and whether it may still be handed out. */
import type { ChosenUrls } from '../../cloudflare/iceUrls.ts'
import { BrokerError, type Failure } from '../../errors.ts'
import type { IssueRequest } from '../../rpc/issuing.ts'
import type { TenantContext } from '../core/context.ts'
import { tenantRecord } from '../core/tenantRow.ts'
import { keyByUid } from '../turnKeys/rows.ts'
import { checkEligibility, grantedTtlSeconds, ttlCeilingSeconds } from './eligibility.ts'
import type { CompletedMint } from './pendingMint.ts'

/** The failure, if what was minted helps nobody: without a relay, or over before it came. */
export function unusableMint(urls: ChosenUrls, expiresAt: number, now: number): Failure | undefined {
  if (urls.turn.length === 0) return { code: 'upstream_failed' }
  return expiresAt <= now ? { code: 'upstream_timeout' } : undefined
}

/** Told to nobody: the successor is asked in its place. */
export const KEY_REPLACED: Failure = { code: 'broker_busy' }

/** The refusal, if anything the mint rests on was taken away while upstream was asked. */
export function refusalAtCommit(
  ctx: TenantContext,
  request: IssueRequest,
  { eligibility, flight, ttl }: CompletedMint,
): Failure | undefined {
  if (flight.revoked)
    return { code: 'broker_busy', retryAfterSeconds: 1, detail: 'It was revoked while it was minted; ask again.' }
  if (tenantRecord(ctx).epoch === eligibility.epoch) return
  try {
    const now = checkEligibility(ctx, request)
    // Another default is no reason; this key gone is.
    const key = keyByUid(ctx.sql, flight.keyUid)
    if (key?.state !== 'active') {
      return (key?.successor ?? null) === null ? { code: 'broker_busy', retryAfterSeconds: 1 } : KEY_REPLACED
    }
    grantedTtlSeconds(now, request)
    // Minted for a default that has become too long: asked again, it is given the new one.
    return ttl > ttlCeilingSeconds(now.policy, request) ? { code: 'broker_busy', retryAfterSeconds: 1 } : undefined
  } catch (error) {
    if (error instanceof BrokerError) return error.failure
    throw error
  }
}
