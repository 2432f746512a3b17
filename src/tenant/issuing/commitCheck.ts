/** What is read again before a credential is committed: whether it is of use, and whether it may still be handed out. */
import type { ChosenUrls } from '../../cloudflare/iceUrls.ts'
import { BrokerError, type Failure } from '../../errors.ts'
import type { IssueRequest } from '../../rpc/issuing.ts'
import type { TenantParts } from '../core/context.ts'
import { tenantRecord } from '../core/tenantRow.ts'
import { keyByUid } from '../turnKeys/rows.ts'
import { grantedTtl, standing, ttlCeiling } from './eligibility.ts'
import type { MintedFor } from './pendingMint.ts'

/** The failure, if what was minted helps nobody: without a relay, or over before it came. */
export function unusable(urls: ChosenUrls, expiresAt: number, now: number): Failure | undefined {
  if (urls.turn.length === 0) return { code: 'upstream_failed' }
  return expiresAt <= now ? { code: 'upstream_timeout' } : undefined
}

/** Told to nobody: the successor is asked in its place. */
export const REPLACED: Failure = { code: 'broker_busy' }

/** The refusal, if anything the mint rests on was taken away while upstream was asked. */
export function takenBack(
  parts: TenantParts,
  request: IssueRequest,
  { grounds, flight, ttl }: MintedFor,
): Failure | undefined {
  if (flight.revoked)
    return { code: 'broker_busy', retryAfterSeconds: 1, detail: 'It was revoked while it was minted; ask again.' }
  if (tenantRecord(parts).epoch === grounds.epoch) return
  try {
    const now = standing(parts, request)
    // Another default is no reason; this key gone is.
    const key = keyByUid(parts.sql, flight.keyUid)
    if (key?.state !== 'active') {
      return (key?.successor ?? null) === null ? { code: 'broker_busy', retryAfterSeconds: 1 } : REPLACED
    }
    grantedTtl(now, request)
    // Minted for a default that has become too long: asked again, it is given the new one.
    return ttl > ttlCeiling(now.policy, request) ? { code: 'broker_busy', retryAfterSeconds: 1 } : undefined
  } catch (error) {
    if (error instanceof BrokerError) return error.failure
    throw error
  }
}
