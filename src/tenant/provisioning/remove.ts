/**
 * Removing a TURN key: first it stops minting here, durably; then it goes upstream, by the request or by its job;
 * then its secret is erased. A key upstream no longer knows is removed.
 */
import type { DeletedTurnKey } from '../../contract/resources/turnKeys.ts'
import { errorOf, type Failure, noSuchTurnKey, unwrap } from '../../errors.ts'
import type { Spending } from '../../rpc/budget.ts'
import type { Call } from '../../rpc/calls.ts'
import type { Job, JobOutcome } from '../../storage/jobs.ts'
import { authorize } from '../core/authorization.ts'
import type { TenantContext } from '../core/context.ts'
import { tenantRecord } from '../core/tenantRow.ts'
import { type NotRevoked, pendingOfKey, revokeOfKey } from '../ledger/revocation.ts'
import { publishKey } from '../turnKeys/cacheEntry.ts'
import { keyByUid } from '../turnKeys/rows.ts'
import { transition } from './apply.ts'
import { TAKEOVER_MS } from './machine/vocabulary.ts'

const REMOVE_DEADLINE_MS = 6_000
const CHECK_DEADLINE_MS = 3_000
/** What of the request's time may go into revoking what the key had minted. */
const REVOKING_MS = 2_000

export async function removeTurnKey(
  ctx: TenantContext,
  call: Call & { readonly uid: string },
): Promise<DeletedTurnKey> {
  authorize(ctx, call.caller, 'turn_keys:write')
  const row = keyByUid(ctx.sql, call.uid)
  if (!row) throw noSuchTurnKey()
  // From here on no mint with this key commits.
  const ordered = transition(ctx, row, { kind: 'removal-ordered', inMs: TAKEOVER_MS }, call)
  if (ordered.failure) throw errorOf(ordered.failure)
  await publishKey(ctx, call.uid)

  // What was ordered before has its job: whoever asks again does so out of the tenant's own share of API calls.
  const again = call.caller.kind === 'operator' ? 'operator' : 'tenant'
  const failure = await carryOn(ctx, call.uid, row.state === 'deleting' ? again : 'recovery')
  if (failure) {
    const detail = 'The TURN key mints nothing any more; its removal at Cloudflare is being carried on.'
    throw errorOf({ ...failure, detail })
  }
  const { name, created, modified } = row
  return { uid: call.uid, name, created: created ?? '', modified: modified ?? '' }
}

export async function removalJob(ctx: TenantContext, { key: uid }: Job): Promise<JobOutcome> {
  return (await carryOn(ctx, uid, 'recovery')) ? 'retry' : 'done'
}

/** Upstream, then the secret. `undefined` when the key is gone on both sides. */
function carryOn(ctx: TenantContext, uid: string, purpose: Spending['purpose']): Promise<Failure | undefined> {
  return ctx.mutex.run(uid, async () => {
    const row = keyByUid(ctx.sql, uid)
    if (row?.state !== 'deleting') return
    // Revoking needs the key: what was minted with it is taken back first, here or by its own job.
    const failed = await revokeOfKey(ctx, uid, ctx.now() + REVOKING_MS)
    const pending = pendingOfKey(ctx, uid)
    const possible = pending > 0 && !(await isHopeless(ctx, uid, failed, purpose))
    const waiting = transition(ctx, row, { kind: 'taken-back', pending, possible })
    if (waiting.failure) return waiting.failure
    await spend(ctx, purpose)
    const reply = await ctx.turnKeys.remove(uid, REMOVE_DEADLINE_MS)
    return transition(ctx, row, { kind: 'removed', reply }).failure
  })
}

/** Whether what the key minted can never be taken back: its secret is lost here, or the key is lost upstream. */
async function isHopeless(
  ctx: TenantContext,
  uid: string,
  failed: NotRevoked | undefined,
  purpose: Spending['purpose'],
): Promise<boolean> {
  if (failed?.why !== 'refused') return failed?.why === 'unreadable'
  await spend(ctx, purpose)
  return (await ctx.turnKeys.get(uid, CHECK_DEADLINE_MS)).kind === 'gone'
}

async function spend(ctx: TenantContext, purpose: Spending['purpose']): Promise<void> {
  const { id: tenant, policy } = tenantRecord(ctx)
  unwrap(await ctx.account().spend({ tenant, limit: policy.maxApiCallsPer5Min, purpose }))
}
