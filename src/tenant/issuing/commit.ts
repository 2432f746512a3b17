/**
 * Stores what was minted. Ledger row, audit row, subject and jobs are in one transaction; a credential that may not
 * be handed out any more is stored as `revoking`. Which one that is, is decided in commitCheck.ts.
 */
import { chooseUrls } from '../../cloudflare/iceUrls.ts'
import { keyedDigest } from '../../crypto/mac.ts'
import { BrokerError, type Failure } from '../../errors.ts'
import type { Issued, IssueRequest } from '../../rpc/issuing.ts'
import { audit } from '../../storage/audit.ts'
import type { TenantContext } from '../core/context.ts'
import { noteRootKey } from '../core/rootKeyUse.ts'
import { tenantId } from '../core/tenantRow.ts'
import { insertCredential } from '../ledger/credentialRows.ts'
import { FIRST_SEALED_VERSION, sealPassword } from '../ledger/password.ts'
import { schedulePruning } from '../ledger/pruning.ts'
import { revokeUnrecorded, scheduleRevoking } from '../ledger/revocation.ts'
import { keepSubject } from '../ledger/subjects.ts'
import { keepUrlList } from '../ledger/urlLists.ts'
import { KEY_REPLACED, refusalAtCommit, unusableMint } from './commitCheck.ts'
import type { CompletedMint } from './pendingMint.ts'

/** The refusal of a credential that was stored as `revoking`. Its audit row is in the same commit. */
export class RefusedAtCommit extends BrokerError {
  constructor({ code, ...rest }: Failure) {
    super(code, rest)
  }
}

/**
 * All asynchronous work first, then one transaction, in which eligibility is read again. `undefined`: the key was replaced.
 * Throws `RefusedAtCommit` when the credential was stored as `revoking`, `storage_failed` when nothing was stored.
 */
export async function commitMint(
  ctx: TenantContext,
  request: IssueRequest,
  completed: CompletedMint,
): Promise<Issued | undefined> {
  const { grant, flight, minted, begunAt } = completed
  const { rootKeys } = ctx.config
  const urls = chooseUrls(minted.urls, grant.policy.urls)
  const expiresAt = begunAt + grant.grantedTtlSeconds * 1_000
  const [sealed, digest] = await Promise.all([
    grant.policy.reuse && flight.subjectId !== null
      ? sealPassword(ctx, { username: minted.username, version: FIRST_SEALED_VERSION }, minted.credential)
      : null,
    keyedDigest(rootKeys, { purpose: 'audit-digest', tenant: tenantId(ctx) }, minted.username),
  ])

  const live = ctx.live()
  let stored: { readonly seq: number; readonly id: string; readonly refusal: Failure | undefined }
  try {
    stored = ctx.transact(() => {
      const now = ctx.now()
      const refused = unusableMint(urls, expiresAt, now) ?? refusalAtCommit(ctx, request, completed)
      if (request.subject !== null && flight.subjectId !== null && !flight.revoked)
        keepSubject(ctx, { subject: request.subject, id: flight.subjectId, usedAt: grant.subjectUsedAt })
      if (!refused) noteRootKey(ctx, sealed)
      const { seq, id } = insertCredential(ctx.sql, live.lastSeq, {
        username: minted.username,
        state: refused ? 'revoking' : 'live',
        subjectId: flight.subjectId,
        keyUid: flight.keyUid,
        origin: request.origin,
        sealed: refused ? null : sealed,
        urlList: keepUrlList(ctx, minted.urls),
        issuedAt: begunAt,
        expiresAt,
      })
      if (refused) scheduleRevoking(ctx)
      schedulePruning(ctx, expiresAt)
      audit(ctx.sql, now, {
        actor: grant.actor,
        action: 'credential.issue',
        target: id,
        subjectId: flight.subjectId,
        outcome: refused ? 'refused' : 'done',
        code: refused?.code,
        requestId: request.requestId,
        origin: request.origin,
        digest,
      })
      return { seq, id, refusal: refused }
    })
  } catch (error) {
    // The row could not be stored: no caller gets the credential, and it is revoked in the background.
    ctx.waitUntil(revokeUnrecorded(ctx, completed.key, minted.username))
    throw error
  }
  const { seq, id, refusal } = stored
  live.minted(begunAt)
  live.add({ seq, keyUid: flight.keyUid, issuedAt: begunAt, expiresAt }, refusal ? 'revoking' : 'live')
  // The place under the limits is kept for the successor's credential.
  if (refusal === KEY_REPLACED) return
  completed.release()
  if (refusal) throw new RefusedAtCommit(refusal)
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
