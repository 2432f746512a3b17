/**
 * Removing a TURN key. First it stops minting here, durably. Then the request or its job removes it at Cloudflare, and
 * its secret is erased. A key that Cloudflare no longer knows counts as removed.
 */
import type { DeletedTurnKey } from '../../contract/resources/turnKeys.ts'
import { errorOf, type Failure, noSuchTurnKey } from '../../errors.ts'
import type { Call } from '../../rpc/calls.ts'
import type { Job, JobOutcome } from '../../storage/jobs.ts'
import { Purse, purposeOf, withinShare } from '../core/apiCalls.ts'
import { authorize } from '../core/authorization.ts'
import type { TenantContext } from '../core/context.ts'
import { type NotRevoked, pendingOfKey } from '../ledger/revocation.ts'
import { revokeOfKey } from '../ledger/revokingJob.ts'
import { publishKey } from '../turnKeys/cacheEntry.ts'
import { keyByUid } from '../turnKeys/rows.ts'
import { foresee, transition } from './apply.ts'
import { TAKEOVER_MS } from './machine/vocabulary.ts'

const REMOVE_DEADLINE_MS = 6_000
const CHECK_DEADLINE_MS = 3_000
/** How much of the request's time may go into revoking the key's credentials. */
const REVOKING_MS = 2_000

export async function removeTurnKey(
  ctx: TenantContext,
  call: Call & { readonly uid: string },
): Promise<DeletedTurnKey> {
  const { caller, uid } = call
  const event = { kind: 'removal-ordered', inMs: TAKEOVER_MS } as const
  const admit = () => {
    authorize(ctx, caller, 'turn_keys:write')
    const row = keyByUid(ctx.sql, uid)
    if (!row) throw noSuchTurnKey()
    const { failure } = foresee(ctx, row, event)
    if (failure) throw errorOf(failure)
    return row
  }
  const isOrdered = admit().state === 'deleting'
  const purse = new Purse(ctx, purposeOf(caller))
  try {
    // Over its share a tenant orders nothing. A removal that is ordered goes on, and its caller is to know.
    const unpaid = await (isOrdered ? purse.prepayStored() : purse.prepay())
    const row = admit()
    // From here on no mint with this key commits.
    transition(ctx, row, event, call)
    await publishKey(ctx, uid)

    const failure = unpaid ?? (await removeUpstream(ctx, uid, purse))
    if (failure) {
      const detail = 'The TURN key mints nothing any more; its removal at Cloudflare is being carried on.'
      throw errorOf({ ...failure, detail })
    }
    const { name, created, modified } = row
    return { uid, name, created: created ?? '', modified: modified ?? '' }
  } finally {
    purse.close()
  }
}

export const removalJob = (ctx: TenantContext, job: Job): Promise<JobOutcome> =>
  withinShare(ctx, job, async () => ((await removeUpstream(ctx, job.key, new Purse(ctx, 'tenant'))) ? 'retry' : 'done'))

/** Removes the key at Cloudflare, then erases its secret. `undefined`: it is gone on both sides. */
function removeUpstream(ctx: TenantContext, uid: string, purse: Purse): Promise<Failure | undefined> {
  return ctx.mutex.run(uid, async () => {
    const row = keyByUid(ctx.sql, uid)
    if (row?.state !== 'deleting') return
    // Revoking needs the key's secret, so its credentials are revoked first, here or by their own job.
    const failed = await revokeOfKey(ctx, uid, ctx.now() + REVOKING_MS)
    const pending = pendingOfKey(ctx, uid)
    const possible = pending > 0 && !(await isHopeless(ctx, uid, failed, purse))
    const waiting = transition(ctx, row, { kind: 'taken-back', pending, possible })
    if (waiting.failure) return waiting.failure
    const reply = await purse.pay(() => ctx.turnKeys.remove(uid, REMOVE_DEADLINE_MS))
    return transition(ctx, row, { kind: 'removed', reply }).failure
  })
}

/** Whether the key's credentials can never be revoked: its secret does not open, or Cloudflare no longer has the key. */
async function isHopeless(
  ctx: TenantContext,
  uid: string,
  failed: NotRevoked | undefined,
  purse: Purse,
): Promise<boolean> {
  if (failed?.why !== 'refused') return failed?.why === 'unreadable'
  return (await purse.pay(() => ctx.turnKeys.get(uid, CHECK_DEADLINE_MS))).kind === 'gone'
}
