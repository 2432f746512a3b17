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
import type { TenantParts } from '../core/context.ts'
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
import { REPLACED, takenBack, unusable } from './commitCheck.ts'
import { grantedTtl, type Standing, standing } from './eligibility.ts'
import { KeyRefused, MINT_DEADLINE_MS, mintUpstream } from './mint.ts'
import { insteadOfMint } from './outageFallback.ts'
import type { MintedFor, Minting } from './pendingMint.ts'
import { recordRefusal } from './refusalAudit.ts'
import { reusable, reuse } from './reuse.ts'

/**
 * Refuse what the rows refuse. Answer from the ledger what may be answered from it. Share a mint that is under way for
 * the same subject. Reserve a place under the limits, in memory and with no `await` in between. Mint. Commit. If upstream
 * is down: a credential the subject still has, then the policy's fallback.
 */
export async function issue(parts: TenantParts, request: IssueRequest): Promise<Issued | StunOnly> {
  try {
    return await reuseOrMint(parts, request).catch((error: unknown) => {
      if (error instanceof KeyRefused) parts.waitUntil(sharedCheck(parts, error.uid).catch(() => undefined))
      return insteadOfMint(parts, request, error)
    })
  } catch (error) {
    // A refusal at the commit has its row already, with what had been minted by then.
    const known = error instanceof RefusedAtCommit
    if (!known) recordRefusal(parts, request, error instanceof BrokerError ? error.failure.code : 'internal')
    throw error
  }
}

class RefusedAtCommit extends BrokerError {
  constructor({ code, ...rest }: Failure) {
    super(code, rest)
  }
}

async function reuseOrMint(parts: TenantParts, request: IssueRequest): Promise<Issued> {
  const grounds = standing(parts, request)
  const ttl = grantedTtl(grounds, request)
  const mayReuse = request.reuse === 'allowed' && grounds.policy.reuse && request.subject !== null
  if (!mayReuse) return mint(parts, request, grounds, ttl)

  const known = reusable(parts, request, grounds, ttl)
  const again = known === undefined ? undefined : await reuse(parts, request, known)
  return again ?? sharedMint(parts, request, grounds, ttl)
}

/** Parallel calls of one subject, for the same key, origin and ttl, are answered by one mint. */
async function sharedMint(parts: TenantParts, request: IssueRequest, grounds: Standing, ttl: number): Promise<Issued> {
  const share = JSON.stringify([request.subject, grounds.key.uid, request.origin, ttl])
  const underWay = parts.mints.shared.get(share)
  if (underWay !== undefined) {
    const id = await underWay.then(
      (minted) => minted.id,
      (error: unknown) => {
        if (isRefusal(error)) return
        throw error
      },
    )
    const reused = id === undefined ? undefined : await reuse(parts, request, id)
    if (reused) return reused
    // Refused to the other, or taken back in the moment it was made: what holds for this caller is read anew.
    const now = standing(parts, request)
    const again = now.policy.reuse ? sharedMint : mint
    return again(parts, request, now, grantedTtl(now, request))
  }
  const work = mint(parts, request, grounds, ttl)
  parts.mints.shared.set(share, work)
  try {
    return await work
  } finally {
    parts.mints.shared.delete(share)
  }
}

/** A no to one caller, who may have come with another token than the next: not a failure of the mint itself. */
const isRefusal = (error: unknown): boolean => error instanceof BrokerError && ERRORS[error.failure.code].status < 500

async function mint(parts: TenantParts, request: IssueRequest, grounds: Standing, ttl: number): Promise<Issued> {
  const { subject } = request
  const subjectId = subject === null ? null : subjectIdFor(parts, subject)
  const release = reserve(parts, grounds, subjectId)
  const until = parts.now() + MINT_DEADLINE_MS
  try {
    let issued = await mintOnce(parts, request, { grounds, ttl, subjectId, until, release })
    // Its key was replaced meanwhile: what was minted is taken back, and the successor asked for the rest of the time.
    while (issued === undefined) {
      const now = standing(parts, request)
      const again = { grounds: now, ttl: grantedTtl(now, request), subjectId, until, release }
      issued = await mintOnce(parts, request, again)
    }
    return issued
  } finally {
    release()
  }
}

/** `undefined`: the key was replaced under it. */
async function mintOnce(parts: TenantParts, request: IssueRequest, it: Minting): Promise<Issued | undefined> {
  const { grounds, ttl, subjectId, until } = it
  const keyUid = grounds.key.uid
  const flight: MintInFlight = { subject: request.subject, subjectId, keyUid, revoked: false, replaced: false }
  parts.mints.inFlight.add(flight)
  try {
    const key = await openKey(parts, grounds.key)
    const asked = await mintUpstream(parts, key, { ttl, customIdentifier: subjectId ?? undefined, until, flight })
    return asked && (await store(parts, request, { ...it, ...asked, flight, key }))
  } finally {
    parts.mints.inFlight.delete(flight)
  }
}

/** Limits count live rows and mints in flight; nothing is awaited between the counting and the reservation. */
function reserve(parts: TenantParts, { policy }: Standing, subjectId: string | null): () => void {
  const now = parts.now()
  const live = parts.live()
  if (subjectId !== null) {
    const ofSubject = countLiveOfSubject(parts.sql, subjectId, now) + live.reservedFor(subjectId)
    if (ofSubject >= policy.maxLiveCredentialsPerSubject)
      throw new BrokerError('subject_limit', { retryAfterSeconds: 30 })
  }
  if (live.live(now) >= policy.maxLiveCredentials)
    throw limit('The tenant has as many live credentials as its policy allows.')
  if (live.mintsInLastMinute(now) >= policy.maxMintsPerMinute)
    throw limit('The tenant mints as fast as its policy allows.')
  return live.reserve(subjectId ?? '')
}

const limit = (detail: string) => new BrokerError('tenant_limit', { retryAfterSeconds: 30, detail })

/** All asynchronous work first, then one transaction; what the mint rests on is read again in it. */
async function store(parts: TenantParts, request: IssueRequest, it: MintedFor): Promise<Issued | undefined> {
  const { grounds, flight, minted, begunAt, ttl } = it
  const { rootKeys } = parts.config
  const urls = chooseUrls(minted.urls, grounds.policy.urls)
  const { id: tenant } = tenantRecord(parts)
  const id = newId('cr')
  const expiresAt = begunAt + ttl * 1_000
  const place = { purpose: 'ice-password', tenant, record: id, version: FIRST_SEALED_VERSION } as const
  const [sealed, digest] = await Promise.all([
    grounds.policy.reuse && flight.subjectId !== null ? seal(rootKeys, place, minted.credential) : null,
    keyedDigest(rootKeys, tenant, minted.username),
  ])

  const live = parts.live()
  let refusal: Failure | undefined
  try {
    refusal = parts.transact(() => {
      const now = parts.now()
      const refused = unusable(urls, expiresAt, now) ?? takenBack(parts, request, it)
      if (request.subject !== null && flight.subjectId !== null && !flight.revoked)
        keepSubject(parts, request.subject, flight.subjectId)
      if (!refused) noteRootKey(parts, sealed)
      insertCredential(parts.sql, {
        id,
        username: minted.username,
        state: refused ? 'revoking' : 'live',
        subjectId: flight.subjectId,
        keyUid: flight.keyUid,
        origin: request.origin,
        sealed: refused ? null : sealed,
        urlList: keepUrlList(parts.sql, minted.urls),
        issuedAt: begunAt,
        expiresAt,
      })
      countUsage(parts.sql, now, 'issued')
      if (refused) scheduleRevoking(parts)
      schedulePruning(parts, expiresAt)
      audit(parts.sql, now, {
        actor: grounds.actor,
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
    parts.waitUntil(revokeUnrecorded(parts, it.key, minted.username))
    throw error
  }
  live.minted(begunAt)
  // The place under the limits is kept for the successor's credential.
  if (refusal === REPLACED) return
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
