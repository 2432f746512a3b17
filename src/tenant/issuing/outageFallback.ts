/** What a browser is given when upstream cannot be asked: never more than it could have been given before. */
import { chooseUrls } from '../../cloudflare/iceUrls.ts'
import { BrokerError, type ErrorCode } from '../../errors.ts'
import type { Issued, IssueRequest, StunOnly } from '../../rpc/issuing.ts'
import type { TenantParts } from '../core/context.ts'
import { newestUrlList } from '../ledger/credentialRows.ts'
import { standing } from './eligibility.ts'
import { reuse, survivor } from './reuse.ts'

/** Failures that are upstream's, or of the way there: what the subject still has helps against these. */
const OUTAGES: ReadonlySet<ErrorCode> = new Set([
  'upstream_failed',
  'upstream_unavailable',
  'upstream_timeout',
  'broker_busy',
])

/** A credential the browser's subject still has, else the policy's fallback, else the failure, thrown again. */
export async function insteadOfMint(
  parts: TenantParts,
  request: IssueRequest,
  error: unknown,
): Promise<Issued | StunOnly> {
  const isOutage = error instanceof BrokerError && OUTAGES.has(error.failure.code)
  if (!isOutage || request.reuse === 'never') throw error
  const { policy } = standing(parts, request)
  const left = survivor(parts, request)
  const reused = left && (await reuse(parts, request, left))
  if (reused) return reused
  if (policy.fallback === 'error') throw error
  const learnt = stunOf(newestUrlList(parts.sql) ?? [])
  return { source: 'stun-only', urls: { stun: learnt.length > 0 ? learnt : stunOf(parts.config.stunUrls), turn: [] } }
}

const stunOf = (urls: readonly string[]): string[] => chooseUrls(urls, { transports: [], maxUrls: null }).stun
