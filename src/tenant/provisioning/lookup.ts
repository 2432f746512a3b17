/** Looking up TURN keys: the Tenant answers from its copy, which it checks at Cloudflare at most once an hour. */
import type { TurnKeyView } from '../../contract/resources/turnKeys.ts'
import type { Spending } from '../../rpc/budget.ts'
import type { Call } from '../../rpc/calls.ts'
import type { LookedUp } from '../../rpc/turnKeys.ts'
import { askForCall, sendPaid } from '../core/apiCalls.ts'
import { authorize } from '../core/authorization.ts'
import { publishSnapshot } from '../core/changes.ts'
import type { TenantContext } from '../core/context.ts'
import { publishKey } from '../turnKeys/cacheEntry.ts'
import { turnKeyView, visibleKey, visibleKeys } from '../turnKeys/rows.ts'
import { said, transition } from './apply.ts'

const CHECKED_FOR_MS = 3_600_000
/** After a check without an answer, look-ups use the copy for this long before the next check. */
export const CHECK_COOL_DOWN_MS = 60_000
const CHECK_DEADLINE_MS = 4_000

export function listTurnKeys(ctx: TenantContext, call: Call): TurnKeyView[] {
  authorize(ctx, call.caller, 'turn_keys:read')
  return visibleKeys(ctx.sql).map(turnKeyView)
}

export async function lookUpTurnKey(ctx: TenantContext, call: Call & { readonly uid: string }): Promise<LookedUp> {
  authorize(ctx, call.caller, 'turn_keys:read')
  const { uid } = call
  const before = visibleKey(ctx, uid)
  if (isDue(ctx, before.checked_at)) await sharedCheck(ctx, uid)

  const row = visibleKey(ctx, uid)
  const stale = isDue(ctx, row.checked_at)
  // A copy that could not be confirmed is not written to KV: the edge could not tell that it is stale.
  if (!stale) ctx.waitUntil(Promise.all([publishKey(ctx, uid), publishSnapshot(ctx)]))
  const ttlSeconds = Math.floor(((row.checked_at ?? row.begun_at) + CHECKED_FOR_MS - ctx.now()) / 1_000)
  const from = stale ? 'stale-copy' : row.checked_at === before.checked_at ? 'copy' : 'upstream'
  return { key: turnKeyView(row), from, ttlSeconds }
}

const isDue = (ctx: TenantContext, checkedAt: number | null): boolean =>
  checkedAt === null || ctx.now() - checkedAt > CHECKED_FOR_MS

/** Single-flight: one check a minute for each key. A clear answer ends the minute early. */
export function sharedCheck(ctx: TenantContext, uid: string): Promise<void> {
  return ctx.memory.keyChecks.share(uid, async () => {
    await check(ctx, uid)
  })
}

/**
 * Asks Cloudflare once. An unclear answer changes nothing. Resolves to whether a call was sent: the budget, or the queue to
 * Cloudflare, may refuse it.
 */
export async function check(
  ctx: TenantContext,
  uid: string,
  purpose: Spending['purpose'] = 'tenant',
): Promise<boolean> {
  // While the Account is out of reach, a look-up is answered from the copy.
  const granted = await askForCall(ctx, purpose)
  if (!granted.ok) return false
  const reply = await sendPaid(ctx, purpose, () => ctx.turnKeys.get(uid, CHECK_DEADLINE_MS))
  if (reply.kind !== 'ok' && reply.kind !== 'gone') return !(reply.kind === 'rate-limited' && reply.unsent)
  ctx.memory.keyChecks.forget(uid)
  transition(ctx, visibleKey(ctx, uid), { kind: 'checked', reply: said(reply) })
  return true
}
