/**
 * Creating a TURN key so that nothing is lost. Cloudflare shows the secret once, knows no idempotency key and accepts
 * duplicate names, so the intent is stored first, the call is made once, and any doubt is settled by a job.
 */
import { failureOf } from '../../cloudflare/failures.ts'
import { isMarked, markedName, marker, newIntent } from '../../cloudflare/markers.ts'
import type { CreatedTurnKey } from '../../contract/resources/turnKeys.ts'
import { seal } from '../../crypto/seal.ts'
import { BrokerError, errorOf, type Failure, unwrap } from '../../errors.ts'
import type { Call } from '../../rpc/calls.ts'
import type { TurnKeyCreation } from '../../rpc/turnKeys.ts'
import type { EarlierRequest } from '../../storage/idempotency.ts'
import { authorize } from '../core/authorization.ts'
import type { TenantParts } from '../core/context.ts'
import { requireActive, tenantRecord } from '../core/tenantRow.ts'
import { publishKey } from '../turnKeys/cacheEntry.ts'
import { countTakenPlaces, forgetOldKeys, keyByIntent, type TurnKeyRow } from '../turnKeys/rows.ts'
import { LOOK_AFTER_MS } from '../turnKeys/states.ts'
import { apply, applyWithin, CREATE_ROUTE } from './apply.ts'
import { IN_DOUBT, type KeyEvent, SETTLE_JOB } from './machine/vocabulary.ts'
import { answer, record, replay, replayAttempt } from './replay.ts'
import { attempted } from './sdkRetries.ts'

/** Leaves time, within the route's 12 s, for the budget, the owner's claim and the commit. */
const POST_DEADLINE_MS = 9_000
const FIRST_SECRET_VERSION = 1

/**
 * 1. Refuse or replay what can be refused or replayed. 2. Take one call out of the budget. 3. Store the intent and its
 * job. 4. One POST, never repeated. 5. Check the answer, and that the uid is nobody else's. 6. Seal and store, in one
 * commit. 7. Answer. Any doubt between 4 and 6 leaves the intent to its job.
 */
export async function createTurnKey(parts: TenantParts, creation: TurnKeyCreation): Promise<CreatedTurnKey> {
  const intent = newIntent()
  const { attempt } = creation
  if (!attempt) return createOnce(parts, creation, intent)
  authorize(parts, creation.caller, 'turn_keys:write')
  return attempted(
    parts,
    { ...creation, attempt },
    {
      route: CREATE_ROUTE,
      intent,
      admit: () => void admit(parts, creation),
      anew: (mine) => createOnce(parts, creation, mine),
      // Without an intent the first attempt came to nothing before it was stored.
      again: (first) =>
        keyByIntent(parts.sql, first) ? replayAttempt(parts, creation, first) : createOnce(parts, creation, first),
    },
  )
}

async function createOnce(parts: TenantParts, creation: TurnKeyCreation, intent: string): Promise<CreatedTurnKey> {
  const earlier = admit(parts, creation)
  if (earlier) return replay(parts, creation, earlier)

  const { id: tenant, policy } = tenantRecord(parts)
  const purpose = creation.caller.kind === 'operator' ? 'operator' : 'tenant'
  unwrap(await parts.account().spend({ tenant, limit: policy.maxApiCallsPer5Min, purpose, intent }))

  // The budget was asked across an await: everything is decided again in the transaction that stores the intent.
  const meanwhile = parts.transact(() => admit(parts, creation) ?? storeIntent(parts, creation, intent))
  if (meanwhile) return replay(parts, creation, meanwhile)
  parts.creations.add(intent)
  try {
    await parts.storage.sync()
    const failure = await makeKey(parts, creation, { intent, requireGrounds: () => requireGrounds(parts, creation) })
    if (failure) throw errorOf(failure)
  } finally {
    parts.creations.delete(intent)
  }
  await publishKey(parts, keyByIntent(parts.sql, intent)?.uid ?? '')
  try {
    return await answer(parts, creation, intent)
  } catch (error) {
    // The key is there: whatever fails now must not have the caller make another.
    const failure: Failure = error instanceof BrokerError ? error.failure : { code: 'internal' }
    throw errorOf({ ...failure, doNotRepeat: true })
  }
}

/** Everything that can be decided here and now: throws a refusal, or gives the earlier request with the same key. */
function admit(parts: TenantParts, creation: TurnKeyCreation): EarlierRequest | undefined {
  authorize(parts, creation.caller, 'turn_keys:write')
  const earlier = creation.idempotency && parts.idempotency.find(CREATE_ROUTE, creation.idempotency)
  if (earlier) return earlier
  const { policy } = requireActive(parts)
  if (countTakenPlaces(parts.sql, parts.now()) >= policy.maxTurnKeys) {
    throw new BrokerError('turn_key_limit', { doNotRepeat: true })
  }
  return
}

function storeIntent(parts: TenantParts, creation: TurnKeyCreation, intent: string): undefined {
  const now = parts.now()
  forgetOldKeys(parts.sql, now)
  parts.sql.exec(
    "INSERT INTO turn_keys (intent, state, name, begun_at, state_at) VALUES (?, 'creating', ?, ?, ?)",
    intent,
    creation.name,
    now,
    now,
  )
  if (creation.idempotency) parts.idempotency.begin(CREATE_ROUTE, creation.idempotency, intent)
  record(parts, creation, { target: intent, outcome: 'begun' })
  parts.jobs.put(SETTLE_JOB, intent, now + LOOK_AFTER_MS[0])
}

/** From the one POST to the commit. Whatever is not clearly a yes or a no leaves the intent to its job. */
export async function makeKey(
  parts: TenantParts,
  call: Call,
  { intent, requireGrounds }: { readonly intent: string; readonly requireGrounds: () => void },
): Promise<Failure | undefined> {
  const row = keyByIntent(parts.sql, intent)
  if (!row) return IN_DOUBT
  try {
    const event = await post(parts, row)
    // What the creation rests on is read in the transaction that ends it.
    return parts.transact(() => {
      const it = event.kind === 'created' ? { ...event, refusal: refusalBy(requireGrounds) } : event
      return applyWithin(parts, row, it, call).failure
    })
  } catch {
    try {
      return apply(parts, row, { kind: 'doubted' }, call).failure
    } catch {
      // Storage takes nothing: the intent stays `creating`, and its job finds it so.
      return IN_DOUBT
    }
  }
}

/** The one POST, and what the machine is to make of its answer. Seals what is to be stored. */
async function post(parts: TenantParts, { intent, name: own }: TurnKeyRow): Promise<KeyEvent> {
  const { deployment } = parts.config
  const { id: tenant } = tenantRecord(parts)
  const reply = await parts.turnKeys.create(markedName(deployment, intent, own), POST_DEADLINE_MS)
  // "No such key" is no answer to a creation.
  if (reply.kind === 'doubtful' || reply.kind === 'gone') return { kind: 'doubted' }
  if (reply.kind !== 'ok') return { kind: 'refused', failure: failureOf(reply) }
  // An answer about a key of another name is no answer to what was asked.
  const { uid, key, name, created, modified } = reply.value
  if (!isMarked(name, marker(deployment, intent))) return { kind: 'doubted' }
  if (!unwrap(await parts.account().claimTurnKey(uid, tenant))) return { kind: 'doubted' }
  const place = { purpose: 'turn-key-secret', tenant, record: uid, version: FIRST_SECRET_VERSION } as const
  const sealed = await seal(parts.config.rootKeys, place, key)
  const columns = { sealed, secret_version: FIRST_SECRET_VERSION, created, modified }
  return { kind: 'created', uid, columns, refusal: undefined }
}

/** What the creation rests on, read again: the tenant suspended or the token deleted since is a refusal. */
function requireGrounds(parts: TenantParts, creation: TurnKeyCreation): void {
  requireActive(parts)
  authorize(parts, creation.caller, 'turn_keys:write')
}

function refusalBy(requireGrounds: () => void): Failure | undefined {
  try {
    requireGrounds()
    return
  } catch (error) {
    if (error instanceof BrokerError) return { ...error.failure, doNotRepeat: true }
    throw error
  }
}
