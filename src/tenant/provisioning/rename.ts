/** Renaming a TURN key. The same name may be sent twice without harm, so a job repeats a call whose outcome is unknown. */
import { markedName } from '../../cloudflare/markers.ts'
import type { TurnKeyView } from '../../contract/resources/turnKeys.ts'
import { errorOf, type Failure } from '../../errors.ts'
import type { Call } from '../../rpc/calls.ts'
import type { Job, JobOutcome } from '../../storage/jobs.ts'
import { spendCall } from '../core/apiCalls.ts'
import { authorize } from '../core/authorization.ts'
import type { TenantContext } from '../core/context.ts'
import { publishKey } from '../turnKeys/cacheEntry.ts'
import { keyByUid, turnKeyView, visibleKey } from '../turnKeys/rows.ts'
import { isVisible } from '../turnKeys/states.ts'
import { said, transition } from './apply.ts'

const UPDATE_DEADLINE_MS = 7_000

export async function renameTurnKey(
  ctx: TenantContext,
  call: Call & { readonly uid: string; readonly name: string | undefined },
): Promise<TurnKeyView> {
  authorize(ctx, call.caller, 'turn_keys:write')
  const { uid, name } = call
  const row = visibleKey(ctx, uid)
  if (name === undefined) return turnKeyView(row)

  const ordered = transition(ctx, row, { kind: 'rename-ordered', name }, call)
  if (ordered.set === undefined) return turnKeyView(row)
  const failure = await sendPendingName(ctx, uid, 'tenant')
  if (failure) throw errorOf(failure)
  await publishKey(ctx, uid)
  return turnKeyView(visibleKey(ctx, uid))
}

export async function renamingJob(ctx: TenantContext, { key: uid }: Job): Promise<JobOutcome> {
  await sendPendingName(ctx, uid, 'recovery')
  const pending = keyByUid(ctx.sql, uid)?.pending_name ?? null
  if (pending === null) await publishKey(ctx, uid)
  return pending === null ? 'done' : 'retry'
}

/** Sends the pending name to Cloudflare, if there still is one. */
function sendPendingName(
  ctx: TenantContext,
  uid: string,
  purpose: 'tenant' | 'recovery',
): Promise<Failure | undefined> {
  return ctx.mutex.run(uid, async () => {
    const row = keyByUid(ctx.sql, uid)
    if (!row || row.pending_name === null || !isVisible(row.state)) return
    await spendCall(ctx, purpose)
    const name = row.pending_name
    const marked = markedName(ctx.config.deployment, row.intent, name)
    const reply = await ctx.turnKeys.update(uid, marked, UPDATE_DEADLINE_MS)
    return transition(ctx, row, { kind: 'renamed', name, reply: said(reply) }).failure
  })
}
