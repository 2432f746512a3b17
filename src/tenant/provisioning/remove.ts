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
import type { TenantParts } from '../core/context.ts'
import { tenantRecord } from '../core/tenantRow.ts'
import { type NotRevoked, pendingOfKey, revokeOfKey } from '../ledger/revocation.ts'
import { publishKey } from '../turnKeys/cacheEntry.ts'
import { keyByUid } from '../turnKeys/rows.ts'
import { apply } from './apply.ts'
import { TAKEOVER_MS } from './machine/vocabulary.ts'

const REMOVE_DEADLINE_MS = 6_000
const CHECK_DEADLINE_MS = 3_000
/** What of the request's time may go into revoking what the key had minted. */
const REVOKING_MS = 2_000

export async function removeTurnKey(
  parts: TenantParts,
  call: Call & { readonly uid: string },
): Promise<DeletedTurnKey> {
  authorize(parts, call.caller, 'turn_keys:write')
  const row = keyByUid(parts.sql, call.uid)
  if (!row) throw noSuchTurnKey()
  // From here on no mint with this key commits.
  const ordered = apply(parts, row, { kind: 'removal-ordered', inMs: TAKEOVER_MS }, call)
  if (ordered.failure) throw errorOf(ordered.failure)
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

export async function removalJob(parts: TenantParts, { key: uid }: Job): Promise<JobOutcome> {
  return (await carryOn(parts, uid, 'recovery')) ? 'retry' : 'done'
}

/** Upstream, then the secret. `undefined` when the key is gone on both sides. */
function carryOn(parts: TenantParts, uid: string, purpose: Spending['purpose']): Promise<Failure | undefined> {
  return parts.serial.run(uid, async () => {
    const row = keyByUid(parts.sql, uid)
    if (row?.state !== 'deleting') return
    // Revoking needs the key: what was minted with it is taken back first, here or by its own job.
    const failed = await revokeOfKey(parts, uid, parts.now() + REVOKING_MS)
    const pending = pendingOfKey(parts, uid)
    const possible = pending > 0 && !(await isHopeless(parts, uid, failed, purpose))
    const waiting = apply(parts, row, { kind: 'taken-back', pending, possible })
    if (waiting.failure) return waiting.failure
    await spend(parts, purpose)
    const reply = await parts.turnKeys.remove(uid, REMOVE_DEADLINE_MS)
    return apply(parts, row, { kind: 'removed', reply }).failure
  })
}

/** Whether what the key minted can never be taken back: its secret is lost here, or the key is lost upstream. */
async function isHopeless(
  parts: TenantParts,
  uid: string,
  failed: NotRevoked | undefined,
  purpose: Spending['purpose'],
): Promise<boolean> {
  if (failed?.why !== 'refused') return failed?.why === 'unreadable'
  await spend(parts, purpose)
  return (await parts.turnKeys.get(uid, CHECK_DEADLINE_MS)).kind === 'gone'
}

async function spend(parts: TenantParts, purpose: Spending['purpose']): Promise<void> {
  const { id: tenant, policy } = tenantRecord(parts)
  unwrap(await parts.account().spend({ tenant, limit: policy.maxApiCallsPer5Min, purpose }))
}
