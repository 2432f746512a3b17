/**
 * Issues a credential. `issue` is the sequence of steps; who may have one is decided in eligibility.ts, Cloudflare is asked in mint.ts.
 * No credential leaves unless its ledger row and its audit row are in the same commit (G1).
 */
import { BrokerError, ERRORS } from '../../errors.ts'
import type { Issued, IssueRequest, Lend, StunOnly } from '../../rpc/issuing.ts'
import type { ReadContext, TenantContext } from '../core/context.ts'
import { renewSnapshot } from '../core/snapshotRenewal.ts'
import { lastIssuedAt, liveCredentialById } from '../ledger/credentialRows.ts'
import { countLiveOfSubject } from '../ledger/reusable.ts'
import { unstoredSubjectId } from '../ledger/subjects.ts'
import type { MintInFlight } from '../memory/mintInFlight.ts'
import { sharedCheck } from '../provisioning/lookup.ts'
import { openKey } from '../turnKeys/secret.ts'
import { commitMint, RefusedAtCommit } from './commit.ts'
import { checkEligibility, type Grant, grantTtl, recheckEligibility } from './eligibility.ts'
import { CallerGone, KeyRefused, MINT_DEADLINE_MS, mintUpstream } from './mint.ts'
import { outageFallback } from './outageFallback.ts'
import type { PendingMint } from './pendingMint.ts'
import { recordRefusal } from './refusalAudit.ts'
import { findReusable, reuse } from './reuse.ts'

/**
 * Refuse what the rows refuse. Answer from the ledger what may be answered from it. Share a mint that is under way for
 * the same subject. Reserve a place under the limits, in memory and with no `await` in between. Mint. Commit. If upstream
 * is down: a credential the subject still has, then the policy's fallback. Throws a `BrokerError`, which is on the audit
 * trail by then.
 */
export async function issue(ctx: TenantContext, request: IssueRequest, lend: Lend): Promise<Issued | StunOnly> {
  try {
    return await reuseOrMint(ctx, { ...request, lend }).catch((error: unknown) => {
      if (error instanceof KeyRefused) ctx.waitUntil(sharedCheck(ctx, error.uid).catch(() => undefined))
      return outageFallback(ctx, request, error)
    })
  } catch (error) {
    // A refusal at the commit has its audit row already, which names the credential that was minted by then.
    const isAudited = error instanceof RefusedAtCommit
    if (!isAudited) recordRefusal(ctx, request, error instanceof BrokerError ? error.failure.code : 'internal')
    throw error
  }
}

/** A grant of this tick. `liveOfSubject`: how many live credentials the subject has, if they were counted already. */
type CountedGrant = Grant & { readonly liveOfSubject?: number }

/** What is asked, and the connection that comes with it. */
type LendingRequest = IssueRequest & { readonly lend: Lend }

async function reuseOrMint(ctx: TenantContext, request: LendingRequest): Promise<Issued> {
  const grant = grantTtl(checkEligibility(ctx, request), request)
  const mayReuse = request.reuse === 'allowed' && grant.policy.reuse && request.subject !== null
  if (!mayReuse) return mint(ctx, request, grant)

  const found = findReusable(ctx, request, grant)
  if ('live' in found) return sharedMint(ctx, request, { ...grant, liveOfSubject: found.live })
  return (await reuse(ctx, request, found.reusable)) ?? mintAfterWait(ctx, request)
}

/** Parallel calls of one subject, for the same key, origin and ttl, are answered by one mint. */
async function sharedMint(ctx: TenantContext, request: LendingRequest, grant: CountedGrant): Promise<Issued> {
  const share = JSON.stringify([request.subject, grant.key.uid, request.origin, grant.grantedTtlSeconds])
  const underWay = ctx.memory.sharedMints.underWay(share)
  if (underWay !== undefined) {
    const id = await underWay.then(
      (minted) => minted.id,
      (error: unknown) => {
        // The caller who began it is gone, and with it perhaps the connection: the next one asks again.
        if (isRefusal(error) || error instanceof CallerGone) return
        throw error
      },
    )
    const row = id === undefined ? undefined : liveCredentialById(ctx.sql, id, ctx.now())
    const reused = row && (await reuse(ctx, request, row))
    return reused ?? mintAfterWait(ctx, request)
  }
  return ctx.memory.sharedMints.lead(share, () => mint(ctx, request, grant))
}

/** A 4xx concerns only the caller who started the shared mint. Followers are checked again with their own token. */
const isRefusal = (error: unknown): boolean => error instanceof BrokerError && ERRORS[error.failure.code].status < 500

/** A mint for a caller who waited in vain for another credential: what holds for this caller is read again. */
function mintAfterWait(ctx: TenantContext, request: LendingRequest): Promise<Issued> {
  const rechecked = grantTtl(recheckEligibility(ctx, request), request)
  return rechecked.policy.reuse ? sharedMint(ctx, request, rechecked) : mint(ctx, request, rechecked)
}

/** `grant` must be of this tick: what it says of the subject is used as it is. */
async function mint(ctx: TenantContext, request: LendingRequest, grant: CountedGrant): Promise<Issued> {
  const { subject } = request
  const subjectId = subject === null ? null : (grant.subjectId ?? unstoredSubjectId(ctx.memory, subject))
  const release = reserve(ctx, grant, subjectId)
  renewSnapshot(ctx, () => lastIssuedAt(ctx.sql))
  const pending = { subjectId, until: ctx.now() + MINT_DEADLINE_MS, release }
  try {
    let issued = await mintOnce(ctx, request, { ...pending, grant })
    // The key was replaced meanwhile: what it minted is being revoked, and the successor mints in the time that is left.
    while (issued === undefined) {
      const rechecked = grantTtl(recheckEligibility(ctx, request), request)
      issued = await mintOnce(ctx, request, { ...pending, grant: rechecked })
    }
    return issued
  } finally {
    release()
  }
}

/** `undefined`: the key was replaced during the mint. */
async function mintOnce(
  ctx: TenantContext,
  request: LendingRequest,
  pending: PendingMint,
): Promise<Issued | undefined> {
  const { grant, subjectId, until } = pending
  const keyUid = grant.key.uid
  const flight: MintInFlight = { subject: request.subject, subjectId, keyUid, revoked: false, replaced: false }
  ctx.memory.mintsInFlight.add(flight)
  try {
    const key = await openKey(ctx, grant.key)
    const { grantedTtlSeconds: ttlSeconds } = grant
    const input = { ttlSeconds, customIdentifier: subjectId ?? undefined, until, flight, lend: request.lend }
    const upstream = await mintUpstream(ctx, key, input)
    return upstream && (await commitMint(ctx, request, { ...pending, ...upstream, flight, key }))
  } finally {
    ctx.memory.mintsInFlight.delete(flight)
  }
}

/** Limits count live rows and mints in flight; nothing is awaited between the counting and the reservation. */
function reserve(
  ctx: ReadContext & Pick<TenantContext, 'live'>,
  { policy, liveOfSubject }: CountedGrant,
  subjectId: string | null,
): () => void {
  const now = ctx.now()
  const live = ctx.live()
  if (subjectId !== null) {
    const stored = liveOfSubject ?? countLiveOfSubject(ctx.sql, subjectId, now)
    if (stored + live.reservedFor(subjectId) >= policy.maxLiveCredentialsPerSubject)
      throw new BrokerError('subject_limit', { retryAfterSeconds: 30 })
  }
  if (live.liveCredentials(now) >= policy.maxLiveCredentials)
    throw limit('The tenant has as many live credentials as its policy allows.')
  if (live.mintsInLastMinute(now) >= policy.maxMintsPerMinute)
    throw limit('The tenant mints as fast as its policy allows.')
  return live.reserve(subjectId ?? '')
}

const limit = (detail: string) => new BrokerError('tenant_limit', { retryAfterSeconds: 30, detail })
