/** Renaming a TURN key. Upstream takes the same name twice without harm, so a doubtful answer is asked again by a job. */
import { markedName } from '../../cloudflare/markers.ts'
import type { TurnKeyView } from '../../contract/resources/turnKeys.ts'
import { errorOf, type Failure, unwrap } from '../../errors.ts'
import type { Call } from '../../rpc/calls.ts'
import type { Job, JobOutcome } from '../../storage/jobs.ts'
import { authorize } from '../core/authorization.ts'
import type { TenantParts } from '../core/context.ts'
import { tenantRecord } from '../core/tenantRow.ts'
import { publishKey } from '../turnKeys/cacheEntry.ts'
import { keyByUid, viewOf, visibleKey } from '../turnKeys/rows.ts'
import { isVisible } from '../turnKeys/states.ts'
import { apply, said } from './apply.ts'

const UPDATE_DEADLINE_MS = 7_000

export async function renameTurnKey(
  parts: TenantParts,
  call: Call & { readonly uid: string; readonly name: string | undefined },
): Promise<TurnKeyView> {
  authorize(parts, call.caller, 'turn_keys:write')
  const { uid, name } = call
  const row = visibleKey(parts, uid)
  if (name === undefined) return viewOf(row)

  const ordered = apply(parts, row, { kind: 'rename-ordered', name }, call)
  if (ordered.set === undefined) return viewOf(row)
  const failure = await carryOn(parts, uid, 'tenant')
  if (failure) throw errorOf(failure)
  await publishKey(parts, uid)
  return viewOf(visibleKey(parts, uid))
}

export async function renamingJob(parts: TenantParts, { key: uid }: Job): Promise<JobOutcome> {
  await carryOn(parts, uid, 'recovery')
  const pending = keyByUid(parts.sql, uid)?.pending_name ?? null
  if (pending === null) await publishKey(parts, uid)
  return pending === null ? 'done' : 'retry'
}

/** Tells upstream the pending name, if there still is one. */
function carryOn(parts: TenantParts, uid: string, purpose: 'tenant' | 'recovery'): Promise<Failure | undefined> {
  return parts.serial.run(uid, async () => {
    const row = keyByUid(parts.sql, uid)
    if (!row || row.pending_name === null || !isVisible(row.state)) return
    const { id: tenant, policy } = tenantRecord(parts)
    unwrap(await parts.account().spend({ tenant, limit: policy.maxApiCallsPer5Min, purpose }))
    const name = row.pending_name
    const marked = markedName(parts.config.deployment, row.intent, name)
    const reply = await parts.turnKeys.update(uid, marked, UPDATE_DEADLINE_MS)
    return apply(parts, row, { kind: 'renamed', name, reply: said(reply) }).failure
  })
}
