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
import type { TenantParts } from '../core/context.ts'
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
import { LOOK_AFTER_MS } from '../turnKeys/states.ts'
import { rotateRoute } from './apply.ts'
import { makeKey } from './create.ts'
import { NOTHING_TO_REPLACE } from './machine/succession.ts'
import { SETTLE_JOB } from './machine/vocabulary.ts'
import { answer, record, replay, replayAttempt } from './replay.ts'
import { lastExpiryOf } from './retire.ts'
import { attempted } from './sdkRetries.ts'
import { carryOnRotation, mayBeReplaced } from './switchOver.ts'

/** Of the route's 12 s; leaves time for the commit and the way back. */
const REQUEST_MS = 11_000

/**
 * 1. Refuse or replay. 2. Take a call out of the budget. 3. Store the intent and its job. 4. Make the key and store it. 5. Prove
 * and switch. Doubt in 4 is settled as a creation's: the rotation comes to nothing. From the commit of 4 on its job carries it on.
 */
export async function rotateTurnKey(parts: TenantParts, rotation: TurnKeyRotation): Promise<RotatedTurnKey> {
  const intent = newIntent()
  const { attempt } = rotation
  if (!attempt) return rotateOnce(parts, rotation, intent)
  authorize(parts, rotation.caller, 'turn_keys:write')
  return attempted(
    parts,
    { ...rotation, attempt },
    {
      route: rotateRoute(rotation.uid),
      intent,
      admit: () => void admit(parts, rotation),
      anew: (mine) => rotateOnce(parts, rotation, mine),
      again: (first) =>
        keyByIntent(parts.sql, first)
          ? told(parts, first, () => replayAttempt(parts, rotation, first))
          : rotateOnce(parts, rotation, first),
    },
  )
}

async function rotateOnce(parts: TenantParts, rotation: TurnKeyRotation, intent: string): Promise<RotatedTurnKey> {
  const until = parts.now() + REQUEST_MS
  const earlier = admit(parts, rotation)
  if (earlier) return told(parts, earlier.target, () => replay(parts, rotation, earlier))

  const { id: tenant, policy } = tenantRecord(parts)
  const purpose = rotation.caller.kind === 'operator' ? 'operator' : 'tenant'
  unwrap(await parts.account().spend({ tenant, limit: policy.maxApiCallsPer5Min, purpose, intent }))

  const meanwhile = parts.transact(() => admit(parts, rotation) ?? storeIntent(parts, rotation, intent))
  if (meanwhile) return told(parts, meanwhile.target, () => replay(parts, rotation, meanwhile))
  parts.creations.add(intent)
  try {
    await parts.storage.sync()
    const failure =
      (await makeKey(parts, rotation, { intent, requireGrounds: () => requireGrounds(parts, rotation) })) ??
      (await carryOnRotation(parts, { intent, until, by: rotation }))
    if (failure) throw errorOf(failure)
  } finally {
    parts.creations.delete(intent)
  }
  return told(parts, intent, () => answer(parts, rotation, intent))
}

/** Read again when the new key is there: who asked may have lost the right, or the old key be gone. */
function requireGrounds(parts: TenantParts, rotation: TurnKeyRotation): void {
  requireTenant(parts, rotation)
  authorize(parts, rotation.caller, 'turn_keys:write')
  if (!mayBeReplaced(keyByUid(parts.sql, rotation.uid))) throw errorOf(NOTHING_TO_REPLACE)
}

/** A leaked key must be replaceable also while its tenant is suspended: by an operator. */
const requireTenant = (parts: TenantParts, { caller }: Call): TenantRecord =>
  caller.kind === 'operator' ? requireNotDeleting(parts) : requireActive(parts)

/** Throws a refusal, or gives the earlier request with the same key. */
function admit(parts: TenantParts, rotation: TurnKeyRotation): EarlierRequest | undefined {
  authorize(parts, rotation.caller, 'turn_keys:write')
  const earlier = rotation.idempotency && parts.idempotency.find(rotateRoute(rotation.uid), rotation.idempotency)
  if (earlier) return earlier
  const { policy } = requireTenant(parts, rotation)
  const old = visibleKey(parts, rotation.uid)
  if (!mayBeReplaced(old)) throw conflict('This TURN key was rotated before: its successor can be.')
  if (isUnderWay(parts, old)) throw conflict('This TURN key is being rotated.')
  // A tenant has so many keys on their way in and out, beside those it may have.
  if (countRotationPlaces(parts.sql, parts.now()) >= Math.max(policy.maxTurnKeys, 1)) {
    throw new BrokerError('turn_key_limit', {
      doNotRepeat: true,
      detail: 'Too many rotated TURN keys still wait for their last credentials to expire.',
    })
  }
  return
}

const conflict = (detail: string) => new BrokerError('conflict', { doNotRepeat: true, detail })

const isUnderWay = (parts: TenantParts, { seq }: NamedTurnKeyRow): boolean =>
  parts.sql.exec("SELECT 1 FROM turn_keys WHERE replaces = ? AND state = 'creating' LIMIT 1", seq).toArray().length > 0

function storeIntent(parts: TenantParts, rotation: TurnKeyRotation, intent: string): undefined {
  const now = parts.now()
  const old = visibleKey(parts, rotation.uid)
  forgetOldKeys(parts.sql, now)
  parts.sql.exec(
    `INSERT INTO turn_keys (intent, state, name, replaces, retire_revokes, begun_at, state_at)
     VALUES (?, 'creating', ?, ?, ?, ?, ?)`,
    intent,
    old.pending_name ?? old.name,
    old.seq,
    rotation.revoke ? 1 : 0,
    now,
    now,
  )
  if (rotation.idempotency) parts.idempotency.begin(rotateRoute(rotation.uid), rotation.idempotency, intent)
  record(parts, rotation, { target: rotation.uid, outcome: 'begun' }, 'turn_key.rotate')
  parts.jobs.put(SETTLE_JOB, intent, now + LOOK_AFTER_MS[0])
}

/** The answer of a rotation, the first time and to its repeats. */
async function told(parts: TenantParts, intent: string, key: () => Promise<CreatedTurnKey>): Promise<RotatedTurnKey> {
  try {
    return { key: await key(), replaced: replacedBy(parts, intent) }
  } catch (error) {
    // The work is done or goes on: whatever fails now must not have the caller rotate again.
    const failure: Failure = error instanceof BrokerError ? error.failure : { code: 'internal' }
    throw errorOf({ ...failure, doNotRepeat: true })
  }
}

function replacedBy(parts: TenantParts, intent: string): RotatedTurnKey['replaced'] {
  const seq = keyByIntent(parts.sql, intent)?.replaces ?? null
  const old = seq === null ? undefined : keyBySeq(parts.sql, seq)
  if (!old || old.uid === null) throw new BrokerError('internal')
  const { uid, state } = old
  if (state === 'deleting' || state === 'deleted' || state === 'missing') return { uid, state, retiresAt: null }
  return { uid, state: 'retiring', retiresAt: instant(lastExpiryOf(parts, uid) ?? old.state_at) }
}
