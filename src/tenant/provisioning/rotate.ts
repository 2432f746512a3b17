/**
 * Rotating a TURN key. The new key is created like any key, stored, and proven by one mint. Then one commit makes it the
 * successor of the old one. Until that commit the old key mints, after it the new one: minting never pauses.
 */
import { newIntent } from '../../cloudflare/markers.ts'
import type { CreatedTurnKey, RotatedTurnKey } from '../../contract/resources/turnKeys.ts'
import { instant } from '../../contract/values.ts'
import { BrokerError, errorOf } from '../../errors.ts'
import type { Call } from '../../rpc/calls.ts'
import type { TurnKeyRotation } from '../../rpc/turnKeys.ts'
import type { EarlierRequest } from '../../storage/idempotency.ts'
import { authorize } from '../core/authorization.ts'
import type { TenantContext } from '../core/context.ts'
import { requireActive, requireNotDeleting, type TenantRecord } from '../core/tenantRow.ts'
import { countRotationPlaces, isBeingRotated, keyByIntent, keyBySeq, keyByUid, visibleKey } from '../turnKeys/rows.ts'
import { RECONCILE_AFTER_MS } from '../turnKeys/states.ts'
import { insertRotationIntent } from '../turnKeys/writes.ts'
import { rotateRoute } from './apply.ts'
import { makeKey } from './create.ts'
import { NOTHING_TO_REPLACE } from './machine/succession.ts'
import { SETTLE_JOB } from './machine/vocabulary.ts'
import { answerCreation, auditKey, replayAttempt, replayCreation, withoutRepeat } from './replay.ts'
import { dedupeSdkRetry } from './sdkRetries.ts'
import { mayBeReplaced, resumeRotation } from './switchOver.ts'
import { withIntent } from './withIntent.ts'

/** The route has 12 s; the rest is for the commit and the answer. */
const REQUEST_MS = 11_000

/**
 * The steps are those of withIntent.ts, and then: prove the new key and switch over. An unknown outcome of the creation is
 * settled like any creation's, and the rotation fails. Once the new key is stored, the job `rotate-turn-key` continues.
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
      first: (own) => rotateOnce(ctx, rotation, own),
      replay: (first) =>
        keyByIntent(ctx.sql, first)
          ? answerRotation(ctx, first, () => replayAttempt(ctx, rotation, first))
          : rotateOnce(ctx, rotation, first),
    },
  )
}

async function rotateOnce(ctx: TenantContext, rotation: TurnKeyRotation, intent: string): Promise<RotatedTurnKey> {
  const until = ctx.now() + REQUEST_MS
  return withIntent(ctx, {
    caller: rotation.caller,
    intent,
    admit: () => admit(ctx, rotation),
    store: () => storeIntent(ctx, rotation, intent),
    make: async () =>
      (await makeKey(ctx, rotation, { intent, recheck: () => recheck(ctx, rotation) })) ??
      (await resumeRotation(ctx, { intent, until, by: rotation })),
    replay: (earlier) => answerRotation(ctx, earlier.target, () => replayCreation(ctx, rotation, earlier)),
    answer: () => answerRotation(ctx, intent, () => answerCreation(ctx, rotation, intent)),
  })
}

/** Throws when the caller lost the right, or the old key was removed, while the new one was created. */
function recheck(ctx: TenantContext, rotation: TurnKeyRotation): void {
  requireTenant(ctx, rotation)
  authorize(ctx, rotation.caller, 'turn_keys:write')
  if (!mayBeReplaced(keyByUid(ctx.sql, rotation.uid))) throw errorOf(NOTHING_TO_REPLACE)
}

/** An operator may rotate a leaked key of a suspended tenant too. */
const requireTenant = (ctx: TenantContext, { caller }: Call): TenantRecord =>
  caller.kind === 'operator' ? requireNotDeleting(ctx) : requireActive(ctx)

/** Throws a refusal, or gives the earlier request with the same `Idempotency-Key`. */
function admit(ctx: TenantContext, rotation: TurnKeyRotation): EarlierRequest | undefined {
  authorize(ctx, rotation.caller, 'turn_keys:write')
  const earlier = rotation.idempotency && ctx.idempotency.find(rotateRoute(rotation.uid), rotation.idempotency)
  if (earlier) return earlier
  const { policy } = requireTenant(ctx, rotation)
  const old = visibleKey(ctx, rotation.uid)
  if (!mayBeReplaced(old)) throw conflict('This TURN key was rotated before: its successor can be.')
  if (isBeingRotated(ctx.sql, old)) throw conflict('This TURN key is being rotated.')
  // Beside its `maxTurnKeys`, a tenant may have as many keys that a rotation creates or retires.
  if (countRotationPlaces(ctx.sql, ctx.now()) >= Math.max(policy.maxTurnKeys, 1)) {
    throw new BrokerError('turn_key_limit', {
      doNotRepeat: true,
      detail: 'Too many rotated TURN keys still wait for their last credentials to expire.',
    })
  }
  return
}

const conflict = (detail: string) => new BrokerError('conflict', { doNotRepeat: true, detail })

function storeIntent(ctx: TenantContext, rotation: TurnKeyRotation, intent: string): undefined {
  const now = ctx.now()
  const old = visibleKey(ctx, rotation.uid)
  insertRotationIntent(ctx.sql, { intent, old, revokes: rotation.revoke, now })
  if (rotation.idempotency) ctx.idempotency.begin(rotateRoute(rotation.uid), rotation.idempotency, intent)
  auditKey(ctx, rotation, { target: rotation.uid, outcome: 'begun' }, 'turn_key.rotate')
  ctx.jobs.put(SETTLE_JOB, intent, now + RECONCILE_AFTER_MS[0])
}

/** The answer of a rotation, the first time and to a repeat. */
const answerRotation = (
  ctx: TenantContext,
  intent: string,
  key: () => Promise<CreatedTurnKey>,
): Promise<RotatedTurnKey> => withoutRepeat(async () => ({ key: await key(), replaced: replacedBy(ctx, intent) }))

function replacedBy(ctx: TenantContext, intent: string): RotatedTurnKey['replaced'] {
  const seq = keyByIntent(ctx.sql, intent)?.replaces ?? null
  const old = seq === null ? undefined : keyBySeq(ctx.sql, seq)
  if (!old || old.uid === null) throw new BrokerError('internal')
  const { uid, state } = old
  if (state === 'deleting' || state === 'deleted' || state === 'missing') return { uid, state, retiresAt: null }
  return { uid, state: 'retiring', retiresAt: instant(ctx.live().lastExpiry(uid, ctx.now()) ?? old.state_at) }
}
