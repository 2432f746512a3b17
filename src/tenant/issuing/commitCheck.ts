/**
 * What is checked when a mint commits: whether its credential is of use, and whether it may still be handed out. Decides
 * only; commit.ts stores.
 */
import type { ChosenUrls } from '../../cloudflare/iceUrls.ts'
import { BrokerError, type Failure } from '../../errors.ts'
import type { IssueRequest } from '../../rpc/issuing.ts'
import type { ReadContext } from '../core/context.ts'
import { tenantRecord } from '../core/tenantRow.ts'
import { keyByUid } from '../turnKeys/rows.ts'
import { grantTtl, recheckEligibility } from './eligibility.ts'
import type { CompletedMint } from './pendingMint.ts'

/** The failure, if the credential is of no use: without a relay, or expired before it came. Times in milliseconds. */
export function unusableMint(urls: ChosenUrls, expiresAt: number, now: number): Failure | undefined {
  if (urls.turn.length === 0) return { code: 'upstream_failed' }
  return expiresAt <= now ? { code: 'upstream_timeout' } : undefined
}

/** Never the answer to a caller: the successor of the key mints in its place. */
export const KEY_REPLACED: Failure = { code: 'broker_busy' }

/** The refusal, if anything that the mint rests on was taken away since it was granted. */
export function refusalAtCommit(
  ctx: ReadContext,
  request: IssueRequest,
  { grant, flight }: CompletedMint,
): Failure | undefined {
  if (flight.revoked)
    return { code: 'broker_busy', retryAfterSeconds: 1, detail: 'It was revoked while it was minted; ask again.' }
  if (tenantRecord(ctx).epoch === grant.epoch) return
  try {
    const rechecked = recheckEligibility(ctx, request)
    // Another default key is no reason to refuse. That the key of this mint is gone, is one.
    const key = keyByUid(ctx.sql, flight.keyUid)
    if (key?.state !== 'active') {
      return (key?.successor ?? null) === null ? { code: 'broker_busy', retryAfterSeconds: 1 } : KEY_REPLACED
    }
    const { ttlCeilingSeconds } = grantTtl(rechecked, request)
    // Granted by a default that is too long by now: the next request is granted the new default.
    return grant.grantedTtlSeconds > ttlCeilingSeconds ? { code: 'broker_busy', retryAfterSeconds: 1 } : undefined
  } catch (error) {
    if (error instanceof BrokerError) return error.failure
    throw error
  }
}
