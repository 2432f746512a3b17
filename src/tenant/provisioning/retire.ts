/** Retiring a TURN key that was replaced: it is removed as every key is, once the last credential it minted has expired. */
import type { Job, JobOutcome } from '../../storage/jobs.ts'
import type { TenantContext } from '../core/context.ts'
import { publishKey } from '../turnKeys/cacheEntry.ts'
import { keyByUid } from '../turnKeys/rows.ts'
import { transition } from './apply.ts'

/** When the last of a key's credentials expires that upstream may still know; `null`: there is none. */
export function lastExpiryOf(ctx: Pick<TenantContext, 'sql' | 'now'>, uid: string): number | null {
  // From the far end of the ledger: the first one met is the answer.
  const [row] = ctx.sql
    .exec<{ expires_at: number }>(
      `SELECT expires_at FROM credentials WHERE expires_at > ? AND key_uid = ? AND state <> 'revoked'
       ORDER BY expires_at DESC LIMIT 1`,
      ctx.now(),
      uid,
    )
    .toArray()
  return row?.expires_at ?? null
}

export async function retiringJob(ctx: TenantContext, { key: uid }: Job): Promise<JobOutcome> {
  const row = keyByUid(ctx.sql, uid)
  if (!row) return 'done'
  // A mint that is still in flight ends as a credential to be revoked, and the removal waits for that.
  const { to } = transition(ctx, row, { kind: 'retired', lastExpiry: lastExpiryOf(ctx, uid) })
  if (to) await publishKey(ctx, uid)
  return 'done'
}
