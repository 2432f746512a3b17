/**
 * Issuing a credential. `issue` tells the story; what it rests on is standing.ts, the call upstream minting.ts.
 * No credential leaves unless its ledger row and its audit row are in the same commit (G1).
 */

import type { Minted } from '../cloudflare/credentials.ts'
import { type ChosenUrls, chooseUrls } from '../cloudflare/iceUrls.ts'
import { newId } from '../crypto/ids.ts'
import { keyedDigest } from '../crypto/mac.ts'
import { seal } from '../crypto/seal.ts'
import { BrokerError, type ErrorCode, errorOf, type Failure } from '../errors.ts'
import { audit } from '../storage/audit.ts'
import { countLiveOfSubject, insertCredential, keepUrlList, newestUrlList } from './credentialRows.ts'
import { mintUpstream, type OpenedKey, openKey } from './minting.ts'
import type { MintInFlight, TenantParts } from './parts.ts'
import { schedulePruning } from './pruning.ts'
import { tenantRecord } from './record.ts'
import { recordRefusal } from './refusals.ts'
import { reusable, reuse, survivor } from './reusing.ts'
import { revokeUnrecorded, scheduleRevoking } from './revoking.ts'
import { grantedTtl, type IssueRequest, type Standing, standing } from './standing.ts'
import { keepSubject, subjectIdFor } from './subjects.ts'
import { activeKey } from './turnKeyRows.ts'
import { countUsage } from './usage.ts'

/** What was issued, before any door gives it its shape. */
export interface Issued {
  readonly source: 'minted' | 'reused'
  readonly id: string
  readonly username: string
  readonly credential: string
  readonly urls: ChosenUrls
  /** Milliseconds since 1970; counted from just before the request upstream, so that we always end first. */
  readonly issuedAt: number
  readonly expiresAt: number
}

export interface StunOnly {
  readonly source: 'stun-only'
  readonly urls: ChosenUrls
}

/**
 * Refuse what the rows refuse. Answer from the ledger what may be answered from it. Share a mint that is under way for
 * the same subject. Reserve a place under the limits, in memory and with no `await` in between. Mint. Commit. If upstream
 * is down: a credential the subject still has, then the policy's fallback.
 */
export async function issue(parts: TenantParts, request: IssueRequest): Promise<Issued | StunOnly> {
  try {
    const grounds = standing(parts, request)
    const ttl = grantedTtl(grounds, request)
    const mayReuse = request.reuse === 'allowed' && grounds.policy.reuse && request.subject !== null
    if (!mayReuse) return await mint(parts, request, grounds, ttl)

    const known = reusable(parts, request, grounds, ttl)
    const again = known && (await reuse(parts, request, known))
    if (again) return again
    return await sharedMint(parts, request, grounds, ttl)
  } catch (error) {
    const { failure } = error instanceof BrokerError ? error : new BrokerError('internal')
    const instead =
      OUTAGES.has(failure.code) && request.reuse === 'allowed' ? await insteadOfMint(parts, request) : undefined
    if (instead) return instead
    recordRefusal(parts, request, failure.code)
    throw error
  }
}

/** Failures that are upstream's, or of the way there: what the subject still has helps against these. */
const OUTAGES: ReadonlySet<ErrorCode> = new Set([
  'upstream_failed',
  'upstream_unavailable',
  'upstream_timeout',
  'broker_busy',
])

async function insteadOfMint(parts: TenantParts, request: IssueRequest): Promise<Issued | StunOnly | undefined> {
  const grounds = standing(parts, request)
  const left = survivor(parts, request)
  const reused = left && (await reuse(parts, request, left))
  if (reused) return reused
  if (grounds.policy.fallback === 'error') return
  const urls = chooseUrls(newestUrlList(parts.sql) ?? parts.config.stunUrls, grounds.policy.urls)
  return { source: 'stun-only', urls: { stun: urls.stun, turn: [] } }
}

/** Parallel calls of one subject, for the same key, origin and ttl, are answered by one mint. */
async function sharedMint(parts: TenantParts, request: IssueRequest, grounds: Standing, ttl: number): Promise<Issued> {
  const share = JSON.stringify([request.subject, grounds.key.uid, request.origin, ttl])
  const underWay = parts.mints.shared.get(share)
  if (underWay !== undefined) {
    const { id } = await underWay
    const reused = await reuse(parts, request, id)
    // Taken back in the moment it was made: then this caller needs its own.
    return reused ?? mint(parts, request, standing(parts, request), ttl)
  }
  const work = mint(parts, request, grounds, ttl)
  parts.mints.shared.set(share, work)
  try {
    return await work
  } finally {
    parts.mints.shared.delete(share)
  }
}

async function mint(parts: TenantParts, request: IssueRequest, grounds: Standing, ttl: number): Promise<Issued> {
  const { subject } = request
  const subjectId = subject === null ? null : subjectIdFor(parts, subject)
  const release = reserve(parts, grounds, subjectId)
  const flight: MintInFlight = { subject, subjectId, keyUid: grounds.key.uid, revoked: false }
  parts.mints.inFlight.add(flight)
  try {
    const key = await openKey(parts, grounds.key)
    const { minted, begunAt } = await mintUpstream(parts, key, { ttl, customIdentifier: subjectId ?? undefined })
    return await store(parts, request, { grounds, flight, key, minted, begunAt, ttl, release })
  } finally {
    release()
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

interface MintedFor {
  readonly grounds: Standing
  readonly flight: MintInFlight
  readonly key: OpenedKey
  readonly minted: Minted
  readonly begunAt: number
  readonly ttl: number
  readonly release: () => void
}

/** All asynchronous work first, then one transaction; what the mint rests on is read again in it. */
async function store(parts: TenantParts, request: IssueRequest, it: MintedFor): Promise<Issued> {
  const { grounds, flight, minted, begunAt, ttl } = it
  const { rootKeys } = parts.config
  const urls = chooseUrls(minted.urls, grounds.policy.urls)
  const { id: tenant } = tenantRecord(parts)
  const id = newId('cr')
  const expiresAt = begunAt + ttl * 1_000
  const [sealed, digest] = await Promise.all([
    grounds.policy.reuse
      ? seal(rootKeys, { purpose: 'ice-password', tenant, record: id, version: 1 }, minted.credential)
      : null,
    keyedDigest(rootKeys, tenant, minted.username),
  ])

  let refusal: Failure | undefined
  try {
    refusal = parts.transact(() => {
      const refused = urls.turn.length === 0 ? ({ code: 'upstream_failed' } as const) : takenBack(parts, request, it)
      const now = parts.now()
      if (request.subject !== null && flight.subjectId !== null && !flight.revoked)
        keepSubject(parts, request.subject, flight.subjectId)
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
  parts.live().minted(begunAt)
  it.release()
  if (refusal) throw errorOf(refusal)
  parts.live().add(expiresAt)
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

/** The refusal, if anything the mint rests on was taken away while upstream was asked. */
function takenBack(parts: TenantParts, request: IssueRequest, { grounds, flight }: MintedFor): Failure | undefined {
  if (flight.revoked)
    return { code: 'broker_busy', retryAfterSeconds: 1, detail: 'It was revoked while it was minted; ask again.' }
  if (tenantRecord(parts).epoch === grounds.epoch) return
  try {
    const now = standing(parts, request)
    // Another default is no reason; this key gone is.
    if (!activeKey(parts.sql, flight.keyUid)) return { code: 'broker_busy', retryAfterSeconds: 1 }
    grantedTtl(now, request)
    return
  } catch (error) {
    if (error instanceof BrokerError) return error.failure
    throw error
  }
}
