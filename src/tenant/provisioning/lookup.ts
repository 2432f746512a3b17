/** Looking up TURN keys: the Tenant's copy, checked upstream at most once an hour however many ask. */
import type { TurnKeyView } from '../../contract/resources/turnKeys.ts'
import type { Spending } from '../../rpc/budget.ts'
import type { Call } from '../../rpc/calls.ts'
import type { LookedUp } from '../../rpc/turnKeys.ts'
import { authorize } from '../core/authorization.ts'
import { publish } from '../core/changes.ts'
import type { TenantParts } from '../core/context.ts'
import { tenantRecord } from '../core/tenantRow.ts'
import { publishKey } from '../turnKeys/cacheEntry.ts'
import { viewOf, visibleKey, visibleKeys } from '../turnKeys/rows.ts'
import { apply, said } from './apply.ts'

const CHECKED_FOR_MS = 3_600_000
/** After a check that upstream did not answer, look-ups are answered from the copy for this long before the next. */
const CHECK_COOL_DOWN_MS = 60_000
const CHECK_DEADLINE_MS = 4_000

export function listTurnKeys(parts: TenantParts, call: Call): TurnKeyView[] {
  authorize(parts, call.caller, 'turn_keys:read')
  return visibleKeys(parts.sql).map(viewOf)
}

export async function lookUpTurnKey(parts: TenantParts, call: Call & { readonly uid: string }): Promise<LookedUp> {
  authorize(parts, call.caller, 'turn_keys:read')
  const { uid } = call
  const before = visibleKey(parts, uid)
  if (isDue(parts, before.checked_at)) await sharedCheck(parts, uid)

  const row = visibleKey(parts, uid)
  const stale = isDue(parts, row.checked_at)
  // A copy that could not be confirmed is not spread: the edge could not tell that it is stale.
  if (!stale) parts.waitUntil(Promise.all([publishKey(parts, uid), publish(parts)]))
  const ttlSeconds = Math.floor(((row.checked_at ?? row.begun_at) + CHECKED_FOR_MS - parts.now()) / 1_000)
  const from = stale ? 'stale-copy' : row.checked_at === before.checked_at ? 'copy' : 'upstream'
  return { key: viewOf(row), from, ttlSeconds }
}

const isDue = (parts: TenantParts, checkedAt: number | null): boolean =>
  checkedAt === null || parts.now() - checkedAt > CHECKED_FOR_MS

/** However many ask, upstream is asked once, and after an answer that said nothing not again for a minute. */
export function sharedCheck(parts: TenantParts, uid: string): Promise<void> {
  const known = parts.checks.get(uid)
  if (known && parts.now() - known.begunAt < CHECK_COOL_DOWN_MS) return known.done
  const done = check(parts, uid)
  parts.checks.set(uid, { begunAt: parts.now(), done })
  return done
}

/** Asks upstream once. What it does not clearly say changes nothing. */
export async function check(parts: TenantParts, uid: string, purpose: Spending['purpose'] = 'tenant'): Promise<void> {
  const { id: tenant, policy } = tenantRecord(parts)
  const spending = { tenant, limit: policy.maxApiCallsPer5Min, purpose }
  // The Account out of reach is no reason to refuse a look-up: the copy must do.
  const granted = await parts.account().spend(spending)
  if (!granted.ok) return
  const reply = await parts.turnKeys.get(uid, CHECK_DEADLINE_MS)
  if (reply.kind !== 'ok' && reply.kind !== 'gone') return
  parts.checks.delete(uid)
  apply(parts, visibleKey(parts, uid), { kind: 'checked', reply: said(reply) })
}
