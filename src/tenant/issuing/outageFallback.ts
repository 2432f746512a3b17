/** What a browser is given when Cloudflare cannot mint: never more than it could have been given before. */
import { chooseUrls } from '../../cloudflare/iceUrls.ts'
import { BrokerError, type ErrorCode } from '../../errors.ts'
import type { Issued, IssueRequest, StunOnly } from '../../rpc/issuing.ts'
import { newestUrlList } from '../ledger/urlLists.ts'
import { recheckEligibility } from './eligibility.ts'
import { findOutageCredential, type ReuseContext, reuse } from './reuse.ts'

/** Upstream failures for which an existing credential may be served. */
const OUTAGES: ReadonlySet<ErrorCode> = new Set([
  'upstream_failed',
  'upstream_unavailable',
  'upstream_timeout',
  'broker_busy',
])

/**
 * A credential that the browser's subject still has, else the policy's fallback, else `error` thrown again. Servers, which
 * never reuse, get the error. Throws the refusal if the caller may have nothing by now.
 */
export async function outageFallback(
  ctx: ReuseContext,
  request: IssueRequest,
  error: unknown,
): Promise<Issued | StunOnly> {
  const isOutage = error instanceof BrokerError && OUTAGES.has(error.failure.code)
  if (!isOutage || request.reuse === 'never') throw error
  const rechecked = recheckEligibility(ctx, request)
  const found = findOutageCredential(ctx, request, rechecked)
  const reused = found && (await reuse(ctx, request, found))
  if (reused) return reused
  if (rechecked.policy.fallback === 'error') throw error
  const learnt = stunOf(newestUrlList(ctx.sql) ?? [])
  return { source: 'stun-only', urls: { stun: learnt.length > 0 ? learnt : stunOf(ctx.config.stunUrls), turn: [] } }
}

const stunOf = (urls: readonly string[]): string[] => chooseUrls(urls, { transports: [], maxUrls: null }).stun
