/**
 * Issuing a credential. `issue` tells the story; what it rests on is standing.ts, the call upstream minting.ts.
 * No credential leaves unless its ledger row and its audit row are in the same commit (G1).
 */
import { chooseUrls } from '../../cloudflare/iceUrls.ts'
import { newId } from '../../crypto/ids.ts'
import { keyedDigest } from '../../crypto/mac.ts'
import { seal } from '../../crypto/seal.ts'
import { BrokerError, ERRORS, type Failure } from '../../errors.ts'
import type { Issued, IssueRequest, StunOnly } from '../../rpc/issuing.ts'
import { audit } from '../../storage/audit.ts'
import type { TenantContext } from '../core/context.ts'
import { noteRootKey } from '../core/rootKeyUse.ts'
import { tenantRecord } from '../core/tenantRow.ts'
import { countLiveOfSubject, FIRST_SEALED_VERSION, insertCredential, keepUrlList } from '../ledger/credentialRows.ts'
import { schedulePruning } from '../ledger/pruning.ts'
import { revokeUnrecorded, scheduleRevoking } from '../ledger/revocation.ts'
import { keepSubject, subjectIdFor } from '../ledger/subjects.ts'
import { countUsage } from '../ledger/usage.ts'
import type { MintInFlight } from '../memory/mintInFlight.ts'
import { sharedCheck } from '../provisioning/lookup.ts'
import { openKey } from '../turnKeys/secret.ts'
import { KEY_REPLACED, refusalAtCommit, unusableMint } from './commitCheck.ts'
import { checkEligibility, type Eligibility, grantedTtlSeconds } from './eligibility.ts'
import { KeyRefused, MINT_DEADLINE_MS, mintUpstream } from './mint.ts'
import { outageFallback } from './outageFallback.ts'
import type { CompletedMint, PendingMint } from './pendingMint.ts'
import { recordRefusal } from './refusalAudit.ts'
import { findReusable, reuse } from './reuse.ts'

/**
 * Refuse what the rows refuse. Answer from the ledger what may be answered from it. Share a mint that is under way for
 * the same subject. Reserve a place under the limits, in memory and with no `await` in between. Mint. Commit. If upstream
 * is down: a credential the subject still has, then the policy's fallback.
 */
export async function issue(ctx: TenantContext, request: IssueRequest): Promise<Issued | StunOnly> {
  try {
    return await reuseOrMint(ctx, request).catch((error: unknown) => {
      if (error instanceof KeyRefused) ctx.waitUntil(sharedCheck(ctx, error.uid).catch(() => undefined))
      return outageFallback(ctx, request, error)
    })
  } catch (error) {
    // A refusal at the commit has its row already, with what had been minted by then.
    const known = error instanceof RefusedAtCommit
    if (!known) recordRefusal(ctx, request, error instanceof BrokerError ? error.failure.code : 'internal')
    throw error
  }
}

class RefusedAtCommit extends BrokerError {
  constructor({ code, ...rest }: Failure) {
    super(code, rest)
  }
}

async function reuseOrMint(ctx: TenantContext, request: IssueRequest): Promise<Issued> {
  const eligibility = checkEligibility(ctx, request)
  const ttl = grantedTtlSeconds(eligibility, request)
  const mayReuse = request.reuse === 'allowed' && eligibility.policy.reuse && request.subject !== null
  if (!mayReuse) return mint(ctx, request, eligibility, ttl)

  const known = findReusable(ctx, request, eligibility, ttl)
  const again = known === undefined ? undefined : await reuse(ctx, request, known)
  return again ?? sharedMint(ctx, request, eligibility, ttl)
}

/** Parallel calls of one subject, for the same key, origin and ttl, are answered by one mint. */
async function sharedMint(
  ctx: TenantContext,
  request: IssueRequest,
  eligibility: Eligibility,
  ttl: number,
): Promise<Issued> {
  const share = JSON.stringify([request.subject, eligibility.key.uid, request.origin, ttl])
  const underWay = ctx.mints.shared.get(share)
  if (underWay !== undefined) {
    const id = await underWay.then(
      (minted) => minted.id,
      (error: unknown) => {
        if (isRefusal(error)) return
        throw error
      },
    )
    const reused = id === undefined ? undefined : await reuse(ctx, request, id)
    if (reused) return reused
    // Refused to the other, or taken back in the moment it was made: what holds for this caller is read anew.
    const now = checkEligibility(ctx, request)
    const again = now.policy.reuse ? sharedMint : mint
    return again(ctx, request, now, grantedTtlSeconds(now, request))
  }
  const work = mint(ctx, request, eligibility, ttl)
  ctx.mints.shared.set(share, work)
  try {
    return await work
  } finally {
    ctx.mints.shared.delete(share)
  }
}

/** A no to one caller, who may have come with another token than the next: not a failure of the mint itself. */
const isRefusal = (error: unknown): boolean => error instanceof BrokerError && ERRORS[error.failure.code].status < 500

async function mint(ctx: TenantContext, request: IssueRequest, eligibility: Eligibility, ttl: number): Promise<Issued> {
  const { subject } = request
  const subjectId = subject === null ? null : subjectIdFor(ctx, subject)
  const release = reserve(ctx, eligibility, subjectId)
  const until = ctx.now() + MINT_DEADLINE_MS
  try {
    let issued = await mintOnce(ctx, request, { eligibility, ttl, subjectId, until, release })
    // Its key was replaced meanwhile: what was minted is taken back, and the successor asked for the rest of the time.
    while (issued === undefined) {
      const now = checkEligibility(ctx, request)
      const again = { eligibility: now, ttl: grantedTtlSeconds(now, request), subjectId, until, release }
      issued = await mintOnce(ctx, request, again)
    }
    return issued
  } finally {
    release()
  }
}

/** `undefined`: the key was replaced under it. */
async function mintOnce(ctx: TenantContext, request: IssueRequest, it: PendingMint): Promise<Issued | undefined> {
  const { eligibility, ttl, subjectId, until } = it
  const keyUid = eligibility.key.uid
  const flight: MintInFlight = { subject: request.subject, subjectId, keyUid, revoked: false, replaced: false }
  ctx.memory.mintsInFlight.add(flight)
  try {
    const key = await openKey(ctx, eligibility.key)
    const asked = await mintUpstream(ctx, key, { ttl, customIdentifier: subjectId ?? undefined, until, flight })
    return asked && (await store(ctx, request, { ...it, ...asked, flight, key }))
  } finally {
    ctx.memory.mintsInFlight.delete(flight)
  }
}

/** Limits count live rows and mints in flight; nothing is awaited between the counting and the reservation. */
function reserve(ctx: TenantContext, { policy }: Eligibility, subjectId: string | null): () => void {
  const now = ctx.now()
  const live = ctx.live()
  if (subjectId !== null) {
    const ofSubject = countLiveOfSubject(ctx.sql, subjectId, now) + live.reservedFor(subjectId)
    if (ofSubject >= policy.maxLiveCredentialsPerSubject)
      throw new BrokerError('subject_limit', { retryAfterSeconds: 30 })
  }
  if (live.liveCredentials(now) >= policy.maxLiveCredentials)
    throw limit('The tenant has as many live credentials as its policy allows.')
  if (live.mintsInLastMinute(now) >= policy.maxMintsPerMinute)
    throw limit('The tenant mints as fast as its policy allows.')
  return live.reserve(subjectId ?? '')
}

const limit = (detail: string) => new BrokerError('tenant_limit', { retryAfterSeconds: 30, detail })

/** All asynchronous work first, then one transaction; what the mint rests on is read again in it. */
async function store(ctx: TenantContext, request: IssueRequest, it: CompletedMint): Promise<Issued | undefined> {
  const { eligibility, flight, minted, begunAt, ttl } = it
  const { rootKeys } = ctx.config
  const urls = chooseUrls(minted.urls, eligibility.policy.urls)
  const { id: tenant } = tenantRecord(ctx)
  const id = newId('cr')
  const expiresAt = begunAt + ttl * 1_000
  const place = { purpose: 'ice-password', tenant, record: id, version: FIRST_SEALED_VERSION } as const
  const [sealed, digest] = await Promise.all([
    eligibility.policy.reuse && flight.subjectId !== null ? seal(rootKeys, place, minted.credential) : null,
    keyedDigest(rootKeys, tenant, minted.username),
  ])

  const live = ctx.live()
  let refusal: Failure | undefined
  try {
    refusal = ctx.transact(() => {
      const now = ctx.now()
      const refused = unusableMint(urls, expiresAt, now) ?? refusalAtCommit(ctx, request, it)
      if (request.subject !== null && flight.subjectId !== null && !flight.revoked)
        keepSubject(ctx, request.subject, flight.subjectId)
      if (!refused) noteRootKey(ctx, sealed)
      insertCredential(ctx.sql, {
        id,
        username: minted.username,
        state: refused ? 'revoking' : 'live',
        subjectId: flight.subjectId,
        keyUid: flight.keyUid,
        origin: request.origin,
        sealed: refused ? null : sealed,
        urlList: keepUrlList(ctx.sql, minted.urls),
        issuedAt: begunAt,
        expiresAt,
      })
      countUsage(ctx.sql, now, 'issued')
      if (refused) scheduleRevoking(ctx)
      schedulePruning(ctx, expiresAt)
      audit(ctx.sql, now, {
        actor: eligibility.actor,
        action: 'credential.issue',
        target: id,
        subjectId: flight.subjectId,
        outcome: refused ? 'refused' : 'done',
        code: refused?.code,
        requestId: request.requestId,
        origin: request.origin,
        digest,
      })
      return refused
    })
  } catch (error) {
    // The row was refused: nobody is told the credential, and it is taken back in the background.
    ctx.waitUntil(revokeUnrecorded(ctx, it.key, minted.username))
    throw error
  }
  live.minted(begunAt)
  // The place under the limits is kept for the successor's credential.
  if (refusal === KEY_REPLACED) return
  it.release()
  if (refusal) throw new RefusedAtCommit(refusal)
  live.add(expiresAt)
  return {
    source: 'minted',
    id,
    username: minted.username,
    credential: minted.credential,
    urls,
    issuedAt: begunAt,
    expiresAt,
  }
}
