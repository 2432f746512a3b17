/**
 * Removing a TURN key: first it stops minting here, durably; then it goes upstream, by the request or by its job;
 * then its secret is erased. A key upstream no longer knows is removed.
 */
import type { Spending } from '../account/budget.ts'
import { failureOf } from '../cloudflare/failures.ts'
import { mergePolicy } from '../contract/policy.ts'
import type { DeletedTurnKey } from '../contract/turnKeys.ts'
import { errorOf, type Failure, noSuchTurnKey, unwrap } from '../errors.ts'
import { audit } from '../storage/audit.ts'
import type { Job, JobOutcome } from '../storage/jobs.ts'
import { authorize } from './authority.ts'
import { recordChange } from './changes.ts'
import type { Call, TenantParts } from './parts.ts'
import { tenantRecord } from './record.ts'
import { ofKey, pendingOfKey, revokeOfKey, takeBack } from './revoking.ts'
import { publishKey } from './turnKeyCache.ts'
import { keyByUid, moveKey, type NamedTurnKeyRow, visibleKeys } from './turnKeyRows.ts'
import { isVisible } from './turnKeyStates.ts'

export const REMOVE_JOB = 'remove-turn-key'
const REMOVE_DEADLINE_MS = 6_000
/** The job takes over when the request that ordered the removal is surely gone. */
const TAKEOVER_MS = 20_000
const PENDING_RETRY_SECONDS = 5
/** What of the request's time may go into revoking what the key had minted. */
const REVOKING_MS = 2_000

export async function removeTurnKey(
  parts: TenantParts,
  call: Call & { readonly uid: string },
): Promise<DeletedTurnKey> {
  authorize(parts, call.caller, 'turn_keys:write')
  const row = keyByUid(parts.sql, call.uid)
  if (!row || !(isVisible(row.state) || row.state === 'deleting')) throw noSuchTurnKey()
  if (row.state !== 'deleting') parts.transact(() => orderRemoval(parts, call, row))
  await publishKey(parts, call.uid)

  // What was ordered before has its job: whoever asks again does so out of the tenant's own share of API calls.
  const again = call.caller.kind === 'operator' ? 'operator' : 'tenant'
  const failure = await carryOn(parts, call.uid, row.state === 'deleting' ? again : 'recovery')
  if (failure) {
    const detail = 'The TURN key mints nothing any more; its removal at Cloudflare is being carried on.'
    throw errorOf({ ...failure, detail })
  }
  const { name, created, modified } = row
  return { uid: call.uid, name, created: created ?? '', modified: modified ?? '' }
}

/** Inside a transaction: no mint with this key commits from here on. */
export function orderRemoval(parts: TenantParts, call: Call, row: NamedTurnKeyRow): void {
  moveKey(parts.sql, row, 'deleting', parts.now())
  parts.sql.exec('UPDATE turn_keys SET pending_name = NULL WHERE seq = ?', row.seq)
  const { chosen } = tenantRecord(parts)
  if (chosen.defaultKeyId === row.uid) {
    const newest = visibleKeys(parts.sql).find((key) => key.state === 'active')
    const policy = mergePolicy(chosen, { defaultKeyId: newest?.uid ?? null })
    parts.sql.exec('UPDATE tenant SET policy = ?', JSON.stringify(policy))
  }
  takeBack(parts, ofKey(row.uid), null)
  scheduleRemoval(parts, row.uid, TAKEOVER_MS)
  recordChange(parts, call, 'turn_key.delete', row.uid)
}

export const scheduleRemoval = (parts: TenantParts, uid: string, inMs: number): void =>
  parts.jobs.put(REMOVE_JOB, uid, parts.now() + inMs)

export async function removalJob(parts: TenantParts, { key: uid }: Job): Promise<JobOutcome> {
  return (await carryOn(parts, uid, 'recovery')) ? 'retry' : 'done'
}

/** Upstream, then the secret. `undefined` when the key is gone on both sides. */
function carryOn(parts: TenantParts, uid: string, purpose: Spending['purpose']): Promise<Failure | undefined> {
  return parts.serial.run(uid, async () => {
    if (keyByUid(parts.sql, uid)?.state !== 'deleting') return
    // Revoking needs the key: what was minted with it is taken back first, here or by its own job.
    await revokeOfKey(parts, uid, parts.now() + REVOKING_MS)
    if (pendingOfKey(parts, uid) > 0) return { code: 'broker_busy', retryAfterSeconds: PENDING_RETRY_SECONDS }
    const { id: tenant, policy } = tenantRecord(parts)
    unwrap(await parts.account().spend({ tenant, limit: policy.maxApiCallsPer5Min, purpose }))
    const reply = await parts.turnKeys.remove(uid, REMOVE_DEADLINE_MS)
    if (reply.kind !== 'ok' && reply.kind !== 'gone') return failureOf(reply)
    parts.transact(() => {
      const row = keyByUid(parts.sql, uid)
      if (row?.state !== 'deleting') return
      moveKey(parts.sql, row, 'deleted', parts.now())
      parts.sql.exec('UPDATE turn_keys SET sealed = NULL WHERE uid = ?', uid)
      parts.jobs.remove(REMOVE_JOB, uid)
      audit(parts.sql, parts.now(), { actor: 'broker', action: 'turn_key.deleted', target: uid, outcome: 'done' })
    })
    return
  })
}
