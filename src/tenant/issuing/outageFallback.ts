/** What a browser is given when upstream cannot be asked: never more than it could have been given before. */
import { chooseUrls } from '../../cloudflare/iceUrls.ts'
import { BrokerError, type ErrorCode } from '../../errors.ts'
import type { Issued, IssueRequest, StunOnly } from '../../rpc/issuing.ts'
import type { TenantContext } from '../core/context.ts'
import { newestUrlList } from '../ledger/credentialRows.ts'
import { checkEligibility } from './eligibility.ts'
import { findOutageCredential, reuse } from './reuse.ts'

/** Failures that are upstream's, or of the way there: what the subject still has helps against these. */
const OUTAGES: ReadonlySet<ErrorCode> = new Set([
  'upstream_failed',
  'upstream_unavailable',
  'upstream_timeout',
  'broker_busy',
])

/** A credential the browser's subject still has, else the policy's fallback, else the failure, thrown again. */
export async function outageFallback(
  ctx: TenantContext,
  request: IssueRequest,
  error: unknown,
): Promise<Issued | StunOnly> {
  const isOutage = error instanceof BrokerError && OUTAGES.has(error.failure.code)
  if (!isOutage || request.reuse === 'never') throw error
  const { policy } = checkEligibility(ctx, request)
  const left = findOutageCredential(ctx, request)
  const reused = left && (await reuse(ctx, request, left))
  if (reused) return reused
  if (policy.fallback === 'error') throw error
  const learnt = stunOf(newestUrlList(ctx.sql) ?? [])
  return { source: 'stun-only', urls: { stun: learnt.length > 0 ? learnt : stunOf(ctx.config.stunUrls), turn: [] } }
}

const stunOf = (urls: readonly string[]): string[] => chooseUrls(urls, { transports: [], maxUrls: null }).stun
