/**
 * Rotating a TURN key. The new key is created as every key is, stored, and proven by one mint; only then, in one commit,
 * does it stand for the old one. Until that commit the old key mints, from it on the new one does: at no moment none.
 */
import { newIntent } from '../../cloudflare/markers.ts'
import type { CreatedTurnKey, RotatedTurnKey } from '../../contract/resources/turnKeys.ts'
import { instant } from '../../contract/values.ts'
import { BrokerError, errorOf, type Failure, unwrap } from '../../errors.ts'
import type { Call } from '../../rpc/calls.ts'
import type { TurnKeyRotation } from '../../rpc/turnKeys.ts'
import type { EarlierRequest } from '../../storage/idempotency.ts'
import { authorize } from '../core/authorization.ts'
import type { TenantContext } from '../core/context.ts'
import { requireActive, requireNotDeleting, type TenantRecord, tenantRecord } from '../core/tenantRow.ts'
import {
  countRotationPlaces,
  forgetOldKeys,
  keyByIntent,
  keyBySeq,
  keyByUid,
  type NamedTurnKeyRow,
  visibleKey,
} from '../turnKeys/rows.ts'
import { RECONCILE_AFTER_MS } from '../turnKeys/states.ts'
import { rotateRoute } from './apply.ts'
import { makeKey } from './create.ts'
import { NOTHING_TO_REPLACE } from './machine/succession.ts'
import { SETTLE_JOB } from './machine/vocabulary.ts'
import { answer, record, replayAttempt, replayCreation } from './replay.ts'
import { lastExpiryOf } from './retire.ts'
import { dedupeSdkRetry } from './sdkRetries.ts'
import { carryOnRotation, mayBeReplaced } from './switchOver.ts'

/** Of the route's 12 s; leaves time for the commit and the way back. */
const REQUEST_MS = 11_000

/**
 * 1. Refuse or replay. 2. Take a call out of the budget. 3. Store the intent and its job. 4. Make the key and store it. 5. Prove
 * and switch. Doubt in 4 is settled as a creation's: the rotation comes to nothing. From the commit of 4 on its job carries it on.
 */
export async function rotateTurnKey(ctx: TenantContext, rotation: TurnKeyRotation): Promise<RotatedTurnKey> {
  const intent = newIntent()
  const { attempt } = rotation
  if (!attempt) return rotateOnce(ctx, rotation, intent)
  authorize(ctx, rotation.caller, 'turn_keys:write')
  return dedupeSdkRetry(
    ctx,
    { ...rotation, attempt },
    {
      route: rotateRoute(rotation.uid),
      intent,
      admit: () => void admit(ctx, rotation),
      anew: (mine) => rotateOnce(ctx, rotation, mine),
      again: (first) =>
        keyByIntent(ctx.sql, first)
          ? told(ctx, first, () => replayAttempt(ctx, rotation, first))
          : rotateOnce(ctx, rotation, first),
    },
  )
}

async function rotateOnce(ctx: TenantContext, rotation: TurnKeyRotation, intent: string): Promise<RotatedTurnKey> {
  const until = ctx.now() + REQUEST_MS
  const earlier = admit(ctx, rotation)
  if (earlier) return told(ctx, earlier.target, () => replayCreation(ctx, rotation, earlier))

  const { id: tenant, policy } = tenantRecord(ctx)
  const purpose = rotation.caller.kind === 'operator' ? 'operator' : 'tenant'
  unwrap(await ctx.account().spend({ tenant, limit: policy.maxApiCallsPer5Min, purpose, intent }))

  const meanwhile = ctx.transact(() => admit(ctx, rotation) ?? storeIntent(ctx, rotation, intent))
  if (meanwhile) return told(ctx, meanwhile.target, () => replayCreation(ctx, rotation, meanwhile))
  ctx.memory.creations.add(intent)
  try {
    await ctx.storage.sync()
    const failure =
      (await makeKey(ctx, rotation, { intent, requireGrounds: () => requireGrounds(ctx, rotation) })) ??
      (await carryOnRotation(ctx, { intent, until, by: rotation }))
    if (failure) throw errorOf(failure)
  } finally {
    ctx.memory.creations.delete(intent)
  }
  return told(ctx, intent, () => answer(ctx, rotation, intent))
}

/** Read again when the new key is there: who asked may have lost the right, or the old key be gone. */
function requireGrounds(ctx: TenantContext, rotation: TurnKeyRotation): void {
  requireTenant(ctx, rotation)
  authorize(ctx, rotation.caller, 'turn_keys:write')
  if (!mayBeReplaced(keyByUid(ctx.sql, rotation.uid))) throw errorOf(NOTHING_TO_REPLACE)
}

/** A leaked key must be replaceable also while its tenant is suspended: by an operator. */
const requireTenant = (ctx: TenantContext, { caller }: Call): TenantRecord =>
  caller.kind === 'operator' ? requireNotDeleting(ctx) : requireActive(ctx)

/** Throws a refusal, or gives the earlier request with the same key. */
function admit(ctx: TenantContext, rotation: TurnKeyRotation): EarlierRequest | undefined {
  authorize(ctx, rotation.caller, 'turn_keys:write')
  const earlier = rotation.idempotency && ctx.idempotency.find(rotateRoute(rotation.uid), rotation.idempotency)
  if (earlier) return earlier
  const { policy } = requireTenant(ctx, rotation)
  const old = visibleKey(ctx, rotation.uid)
  if (!mayBeReplaced(old)) throw conflict('This TURN key was rotated before: its successor can be.')
  if (isUnderWay(ctx, old)) throw conflict('This TURN key is being rotated.')
  // A tenant has so many keys on their way in and out, beside those it may have.
  if (countRotationPlaces(ctx.sql, ctx.now()) >= Math.max(policy.maxTurnKeys, 1)) {
    throw new BrokerError('turn_key_limit', {
      doNotRepeat: true,
      detail: 'Too many rotated TURN keys still wait for their last credentials to expire.',
    })
  }
  return
}

const conflict = (detail: string) => new BrokerError('conflict', { doNotRepeat: true, detail })

const isUnderWay = (ctx: TenantContext, { seq }: NamedTurnKeyRow): boolean =>
  ctx.sql.exec("SELECT 1 FROM turn_keys WHERE replaces = ? AND state = 'creating' LIMIT 1", seq).toArray().length > 0

function storeIntent(ctx: TenantContext, rotation: TurnKeyRotation, intent: string): undefined {
  const now = ctx.now()
  const old = visibleKey(ctx, rotation.uid)
  forgetOldKeys(ctx.sql, now)
  ctx.sql.exec(
    `INSERT INTO turn_keys (intent, state, name, replaces, retire_revokes, begun_at, state_at)
     VALUES (?, 'creating', ?, ?, ?, ?, ?)`,
    intent,
    old.pending_name ?? old.name,
    old.seq,
    rotation.revoke ? 1 : 0,
    now,
    now,
  )
  if (rotation.idempotency) ctx.idempotency.begin(rotateRoute(rotation.uid), rotation.idempotency, intent)
  record(ctx, rotation, { target: rotation.uid, outcome: 'begun' }, 'turn_key.rotate')
  ctx.jobs.put(SETTLE_JOB, intent, now + RECONCILE_AFTER_MS[0])
}

/** The answer of a rotation, the first time and to its repeats. */
async function told(ctx: TenantContext, intent: string, key: () => Promise<CreatedTurnKey>): Promise<RotatedTurnKey> {
  try {
    return { key: await key(), replaced: replacedBy(ctx, intent) }
  } catch (error) {
    // The work is done or goes on: whatever fails now must not have the caller rotate again.
    const failure: Failure = error instanceof BrokerError ? error.failure : { code: 'internal' }
    throw errorOf({ ...failure, doNotRepeat: true })
  }
}

function replacedBy(ctx: TenantContext, intent: string): RotatedTurnKey['replaced'] {
  const seq = keyByIntent(ctx.sql, intent)?.replaces ?? null
  const old = seq === null ? undefined : keyBySeq(ctx.sql, seq)
  if (!old || old.uid === null) throw new BrokerError('internal')
  const { uid, state } = old
  if (state === 'deleting' || state === 'deleted' || state === 'missing') return { uid, state, retiresAt: null }
  return { uid, state: 'retiring', retiresAt: instant(lastExpiryOf(ctx, uid) ?? old.state_at) }
}
