/** Renaming a TURN key. The same name may be sent twice without harm, so a job repeats a call whose outcome is unknown. */
import { markedName } from '../../cloudflare/markers.ts'
import type { TurnKeyView } from '../../contract/resources/turnKeys.ts'
import { errorOf, type Failure } from '../../errors.ts'
import type { Call } from '../../rpc/calls.ts'
import type { Job, JobOutcome } from '../../storage/jobs.ts'
import { Purse, purposeOf, withinShare } from '../core/apiCalls.ts'
import { authorize } from '../core/authorization.ts'
import type { TenantContext } from '../core/context.ts'
import { publishKey } from '../turnKeys/cacheEntry.ts'
import { keyByUid, turnKeyView, visibleKey } from '../turnKeys/rows.ts'
import { isVisible } from '../turnKeys/states.ts'
import { foresee, said, transition } from './apply.ts'

const UPDATE_DEADLINE_MS = 7_000

export async function renameTurnKey(
  ctx: TenantContext,
  call: Call & { readonly uid: string; readonly name: string | undefined },
): Promise<TurnKeyView> {
  const { caller, uid, name } = call
  const admit = () => {
    authorize(ctx, caller, 'turn_keys:write')
    return visibleKey(ctx, uid)
  }
  const row = admit()
  if (name === undefined || foresee(ctx, row, { kind: 'rename-ordered', name }).set === undefined)
    return turnKeyView(row)

  const purse = new Purse(ctx, purposeOf(caller))
  try {
    const unpaid = await purse.prepay()
    const ordered = transition(ctx, admit(), { kind: 'rename-ordered', name }, call)
    if (ordered.set !== undefined) {
      const failure = unpaid ?? (await sendPendingName(ctx, uid, purse))
      if (failure) throw errorOf(failure)
    }
  } finally {
    purse.close()
  }
  // Read before KV is written: another rename may come meanwhile.
  const renamed = turnKeyView(visibleKey(ctx, uid))
  await publishKey(ctx, uid)
  return renamed
}

export function renamingJob(ctx: TenantContext, job: Job): Promise<JobOutcome> {
  const { key: uid } = job
  return withinShare(ctx, job, async () => {
    await sendPendingName(ctx, uid, new Purse(ctx, 'tenant'))
    const pending = keyByUid(ctx.sql, uid)?.pending_name ?? null
    if (pending === null) await publishKey(ctx, uid)
    return pending === null ? 'done' : 'retry'
  })
}

/** Sends the pending name to Cloudflare, if there still is one. */
function sendPendingName(ctx: TenantContext, uid: string, purse: Purse): Promise<Failure | undefined> {
  return ctx.mutex.run(uid, async () => {
    const row = keyByUid(ctx.sql, uid)
    if (!row || row.pending_name === null || !isVisible(row.state)) return
    const name = row.pending_name
    const marked = markedName(ctx.config.deployment, row.intent, name)
    const reply = await purse.pay(() => ctx.turnKeys.update(uid, marked, UPDATE_DEADLINE_MS))
    return transition(ctx, row, { kind: 'renamed', name, reply: said(reply) }).failure
  })
}
