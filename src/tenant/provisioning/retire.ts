/** Retiring a TURN key that was rotated: it is removed like any key, once the last credential it minted has expired. */
import type { Job, JobOutcome } from '../../storage/jobs.ts'
import type { TenantContext } from '../core/context.ts'
import { publishKey } from '../turnKeys/cacheEntry.ts'
import { keyByUid } from '../turnKeys/rows.ts'
import { transition } from './apply.ts'

export async function retiringJob(ctx: TenantContext, { key: uid }: Job): Promise<JobOutcome> {
  const row = keyByUid(ctx.sql, uid)
  if (!row) return 'done'
  // A mint in flight becomes a credential that is to be revoked, and the removal waits for that.
  const { to } = transition(ctx, row, { kind: 'retired', lastExpiry: ctx.live().lastExpiry(uid, ctx.now()) })
  if (to) await publishKey(ctx, uid)
  return 'done'
}
