/** Renaming a TURN key. Upstream takes the same name twice without harm, so a doubtful answer is asked again by a job. */
import { failureOf } from '../cloudflare/failures.ts'
import type { TurnKeyView } from '../contract/turnKeys.ts'
import { errorOf, type Failure, noSuchTurnKey, unwrap } from '../errors.ts'
import { audit } from '../storage/audit.ts'
import type { Job, JobOutcome } from '../storage/jobs.ts'
import { authorize } from './authority.ts'
import { recordChange } from './changes.ts'
import type { Call, TenantParts } from './parts.ts'
import { tenantRecord } from './record.ts'
import { publishKey } from './turnKeyCache.ts'
import { keyByUid, moveKey, type NamedTurnKeyRow, viewOf } from './turnKeyRows.ts'
import { isVisible, markedName } from './turnKeyStates.ts'

export const RENAME_JOB = 'rename-turn-key'
const UPDATE_DEADLINE_MS = 7_000
const TAKEOVER_MS = 20_000

export async function renameTurnKey(
  parts: TenantParts,
  call: Call & { readonly uid: string; readonly name: string | undefined },
): Promise<TurnKeyView> {
  authorize(parts, call.caller, 'turn_keys:write')
  const { uid, name } = call
  const row = visibleKey(parts, uid)
  if (name === undefined || (name === row.name && row.pending_name === null)) return viewOf(row)

  parts.transact(() => {
    parts.sql.exec('UPDATE turn_keys SET pending_name = ? WHERE uid = ?', name, uid)
    parts.jobs.put(RENAME_JOB, uid, parts.now() + TAKEOVER_MS)
    recordChange(parts, call, 'turn_key.rename', uid)
  })
  const failure = await carryOn(parts, uid)
  if (failure) throw errorOf(failure)
  await publishKey(parts, uid)
  return viewOf(visibleKey(parts, uid))
}

export async function renamingJob(parts: TenantParts, { key: uid }: Job): Promise<JobOutcome> {
  await carryOn(parts, uid)
  const pending = keyByUid(parts.sql, uid)?.pending_name ?? null
  if (pending === null) await publishKey(parts, uid)
  return pending === null ? 'done' : 'retry'
}

/** Tells upstream the pending name, if there still is one. */
function carryOn(parts: TenantParts, uid: string): Promise<Failure | undefined> {
  return parts.serial.run(uid, async () => {
    const row = keyByUid(parts.sql, uid)
    if (!row || row.pending_name === null || !isVisible(row.state)) return
    const { id: tenant, policy } = tenantRecord(parts)
    unwrap(await parts.account().spend({ tenant, limit: policy.maxApiCallsPer5Min, purpose: 'tenant' }))
    const name = row.pending_name
    const reply = await parts.turnKeys.update(
      uid,
      markedName(parts.config.deployment, row.intent, name),
      UPDATE_DEADLINE_MS,
    )
    if (reply.kind === 'doubtful' || reply.kind === 'rate-limited') return failureOf(reply)
    parts.transact(() => {
      // A newer rename, ordered meanwhile, has its own turn and keeps the job.
      if (keyByUid(parts.sql, uid)?.pending_name === name) {
        parts.sql.exec('UPDATE turn_keys SET pending_name = NULL WHERE uid = ?', uid)
        parts.jobs.remove(RENAME_JOB, uid)
      }
      if (reply.kind === 'gone') return markMissing(parts, uid)
      if (reply.kind === 'refused') {
        const refused = { action: 'turn_key.rename', target: uid, outcome: 'failed', code: 'upstream_failed' } as const
        audit(parts.sql, parts.now(), { actor: 'broker', ...refused })
        return
      }
      const { modified } = reply.value
      parts.sql.exec(
        'UPDATE turn_keys SET name = ?, modified = ?, checked_at = ? WHERE uid = ?',
        name,
        modified,
        parts.now(),
        uid,
      )
    })
    if (reply.kind === 'ok') return
    return reply.kind === 'gone' ? noSuchTurnKey().failure : failureOf(reply)
  })
}

/** Upstream has no such key: it mints no more, and is shown as missing until somebody deletes it. In a transaction. */
export function markMissing(parts: TenantParts, uid: string): void {
  const row = keyByUid(parts.sql, uid)
  if (!row || row.state === 'missing' || !isVisible(row.state)) return
  moveKey(parts.sql, row, 'missing', parts.now())
  parts.sql.exec('UPDATE turn_keys SET checked_at = ? WHERE uid = ?', parts.now(), uid)
  parts.sql.exec('UPDATE tenant SET epoch = epoch + 1')
  audit(parts.sql, parts.now(), { actor: 'broker', action: 'turn_key.missing', target: uid, outcome: 'done' })
}

export function visibleKey(parts: Pick<TenantParts, 'sql'>, uid: string): NamedTurnKeyRow {
  const row = keyByUid(parts.sql, uid)
  if (!row || !isVisible(row.state)) throw noSuchTurnKey()
  return row
}
