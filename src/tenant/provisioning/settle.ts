/**
 * Settling a creation whose outcome is unknown. Its secret is lost, so its key must be deleted: Cloudflare's list is
 * searched for the intent's marker, a key found under it is deleted, and the creation ends `failed`. Lists lag, so an
 * absence is believed only after the last of five searches in 24 hours.
 */
import { marker } from '../../cloudflare/markers.ts'
import { unwrap } from '../../errors.ts'
import type { Job, JobOutcome } from '../../storage/jobs.ts'
import { Purse } from '../core/apiCalls.ts'
import type { TenantContext } from '../core/context.ts'
import { keyByIntent } from '../turnKeys/rows.ts'
import { isVisible } from '../turnKeys/states.ts'
import { transition } from './apply.ts'

const REMOVE_DEADLINE_MS = 8_000

export async function settleCreation(ctx: TenantContext, { key: intent }: Job): Promise<JobOutcome> {
  const row = keyByIntent(ctx.sql, intent)
  if (!row || !(row.state === 'creating' || row.state === 'unknown' || isVisible(row.state))) return 'done'
  if (row.state === 'creating' && row.uid === null) transition(ctx, row, { kind: 'doubted' })

  const listed = unwrap(await ctx.account.markedTurnKeys(marker(ctx.config.deployment, intent), row.begun_at))
  // Where the creation made a key after all, that key is no stray.
  const strays = listed.filter((uid) => uid !== row.uid)
  for (const uid of strays) {
    const reply = await new Purse(ctx, 'recovery').pay(() => ctx.turnKeys.remove(uid, REMOVE_DEADLINE_MS))
    if (reply.kind !== 'ok' && reply.kind !== 'gone') return 'retry'
  }
  transition(ctx, row, { kind: 'looked', undone: strays.length })
  return 'done'
}
