/**
 * Settling a doubtful creation. Its secret is gone, so the key must go too: upstream's list is searched for the
 * intent's marker, a key found under it is deleted, and the creation ends `failed`. Lists lag, so an absence is
 * believed only after the last of five looks in 24 hours.
 */
import { marker } from '../../cloudflare/markers.ts'
import { unwrap } from '../../errors.ts'
import type { Job, JobOutcome } from '../../storage/jobs.ts'
import type { TenantParts } from '../core/context.ts'
import { tenantRecord } from '../core/tenantRow.ts'
import { keyByIntent } from '../turnKeys/rows.ts'
import { isVisible } from '../turnKeys/states.ts'
import { apply } from './apply.ts'

const REMOVE_DEADLINE_MS = 8_000

export async function settleCreation(parts: TenantParts, { key: intent }: Job): Promise<JobOutcome> {
  const row = keyByIntent(parts.sql, intent)
  if (!row || !(row.state === 'creating' || row.state === 'unknown' || isVisible(row.state))) return 'done'
  if (row.state === 'creating' && row.uid === null) apply(parts, row, { kind: 'doubted' })

  const listed = unwrap(await parts.account().markedTurnKeys(marker(parts.config.deployment, intent), row.begun_at))
  // The key itself is none, where the creation came to one after all.
  const strays = listed.filter((uid) => uid !== row.uid)
  const { id: tenant, policy } = tenantRecord(parts)
  for (const uid of strays) {
    unwrap(await parts.account().spend({ tenant, limit: policy.maxApiCallsPer5Min, purpose: 'recovery' }))
    const reply = await parts.turnKeys.remove(uid, REMOVE_DEADLINE_MS)
    if (reply.kind !== 'ok' && reply.kind !== 'gone') return 'retry'
  }
  apply(parts, row, { kind: 'looked', undone: strays.length })
  return 'done'
}
