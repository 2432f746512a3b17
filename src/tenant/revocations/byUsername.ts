/** Revoking one credential by its username, as Cloudflare's own call does: answered once Cloudflare answered 204. */
import { actorOf } from '../../auth/caller.ts'
import { BrokerError, errorOf, noSuchTurnKey } from '../../errors.ts'
import type { Call } from '../../rpc/calls.ts'
import { audit } from '../../storage/audit.ts'
import { authorize } from '../core/authorization.ts'
import type { TenantContext } from '../core/context.ts'
import { credentialByUsername } from '../ledger/credentialRows.ts'
import { beginRevoking, ofCredential, revokeNow } from '../ledger/revocation.ts'
import { lineageOf, mintingKey } from '../turnKeys/lineage.ts'
import { keyByUid } from '../turnKeys/rows.ts'
import { isVisible } from '../turnKeys/states.ts'

/** Idempotent. While Cloudflare cannot be asked, the revocation is pending and its job continues; a repeat asks again. */
export async function revokeByUsername(
  ctx: TenantContext,
  call: Call & { readonly uid: string; readonly username: string },
): Promise<void> {
  authorize(ctx, call.caller, 'credentials:revoke')
  const key = keyByUid(ctx.sql, call.uid)
  // The deletion of a key revokes its credentials. A rotated key may be named in place of its successor.
  if (!key || !(isVisible(key.state) || mintingKey(ctx.sql, call.uid))) throw noSuchTurnKey()
  const row = credentialByUsername(ctx.sql, call.username)
  const of = row && keyByUid(ctx.sql, row.key_uid)
  if (!row || !of || lineageOf(of) !== lineageOf(key) || row.expires_at <= ctx.now()) {
    throw new BrokerError('not_found', { detail: 'No such credential.' })
  }
  if (row.state === 'revoked') return
  if (row.state === 'live') {
    ctx.transact(() => {
      beginRevoking(ctx, ofCredential(row.id), null)
      audit(ctx.sql, ctx.now(), {
        actor: actorOf(call.caller),
        action: 'credential.revoke',
        target: row.id,
        subjectId: row.subject_id,
        outcome: 'done',
        requestId: call.requestId,
      })
    })
  }
  const failed = await revokeNow(ctx, row)
  if (failed)
    throw errorOf({
      ...failed.failure,
      detail: 'It is handed out no more; its revocation at Cloudflare is being carried on.',
    })
}
