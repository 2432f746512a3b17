/**
 * Creating a TURN key so that nothing is lost. Cloudflare shows the secret once, knows no idempotency key and accepts
 * duplicate names, so the intent is stored first, the call is made once, and any doubt is settled by a job.
 */
import { failureOf } from '../cloudflare/failures.ts'
import type { CreatedKey } from '../cloudflare/turnKeys.ts'
import type { CreatedTurnKey } from '../contract/turnKeys.ts'
import { base62, randomBytes } from '../crypto/encoding.ts'
import { seal } from '../crypto/seal.ts'
import { BrokerError, errorOf, type Failure, unwrap } from '../errors.ts'
import type { EarlierRequest } from '../storage/idempotency.ts'
import { authorize } from './authority.ts'
import type { TenantParts } from './parts.ts'
import { requireActive, tenantRecord } from './record.ts'
import { noteRootKey } from './sealing.ts'
import { answer, inDoubt, record, replay, type TurnKeyCreation } from './turnKeyAnswer.ts'
import { publishKey } from './turnKeyCache.ts'
import { scheduleRemoval } from './turnKeyRemoval.ts'
import { countTakenPlaces, forgetOldKeys, keyByIntent, moveKey, type TurnKeyRow } from './turnKeyRows.ts'
import { CREATE_ROUTE, failCreation, SETTLE_JOB } from './turnKeySettling.ts'
import { LOOK_AFTER_MS, markedName, marker } from './turnKeyStates.ts'

/** Leaves time, within the route's 12 s, for the budget, the owner's claim and the commit. */
const POST_DEADLINE_MS = 9_000
const INTENT_BYTES = 12
const INTENT_CHARACTERS = 17
const FIRST_SECRET_VERSION = 1

/**
 * 1. Refuse or replay what can be refused or replayed. 2. Take one call out of the budget. 3. Store the intent and its
 * job. 4. One POST, never repeated. 5. Check the answer, and that the uid is nobody else's. 6. Seal and store, in one
 * commit. 7. Answer. Any doubt between 4 and 6 leaves the intent to its job.
 */
export async function createTurnKey(parts: TenantParts, creation: TurnKeyCreation): Promise<CreatedTurnKey> {
  const earlier = admit(parts, creation)
  if (earlier) return replay(parts, creation, earlier)

  const { id: tenant, policy } = tenantRecord(parts)
  const purpose = creation.caller.kind === 'operator' ? 'operator' : 'tenant'
  unwrap(await parts.account().spend({ tenant, limit: policy.maxApiCallsPer5Min, purpose }))

  // The budget was asked across an await: everything is decided again in the transaction that stores the intent.
  const intent = base62(randomBytes(INTENT_BYTES), INTENT_CHARACTERS)
  const meanwhile = parts.transact(() => admit(parts, creation) ?? storeIntent(parts, creation, intent))
  if (meanwhile) return replay(parts, creation, meanwhile)
  await parts.storage.sync()

  try {
    const created = await post(parts, creation, intent)
    if (!unwrap(await parts.account().claimTurnKey(created.uid, tenant))) throw inDoubt()
    await storeKey(parts, creation, intent, created)
  } catch (error) {
    throw settledOrInDoubt(parts, creation, intent, error)
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

/** The one POST. Throws a failure that is final, or anything else when it is not known what upstream did. */
async function post(parts: TenantParts, creation: TurnKeyCreation, intent: string): Promise<CreatedKey> {
  const { deployment } = parts.config
  const reply = await parts.turnKeys.create(markedName(deployment, intent, creation.name), POST_DEADLINE_MS)
  // "No such key" is no answer to a creation.
  if (reply.kind === 'doubtful' || reply.kind === 'gone') throw inDoubt()
  if (reply.kind !== 'ok') throw new Refused(failureOf(reply))
  // An answer about a key of another name is no answer to what was asked.
  const { name } = reply.value
  if (name !== '' && !name.startsWith(marker(deployment, intent))) throw inDoubt()
  return reply.value
}

/** Upstream said no and made nothing. */
class Refused extends Error {
  readonly failure: Failure
  constructor(failure: Failure) {
    super(failure.code)
    this.failure = failure
  }
}

/** Seals, then stores key, audit and answer in one commit, unless what the creation rests on was taken away meanwhile. */
async function storeKey(
  parts: TenantParts,
  creation: TurnKeyCreation,
  intent: string,
  created: CreatedKey,
): Promise<void> {
  const { uid, key, created: createdAt, modified } = created
  const { id: tenant } = tenantRecord(parts)
  const place = { purpose: 'turn-key-secret', tenant, record: uid, version: FIRST_SECRET_VERSION } as const
  const sealed = await seal(parts.config.rootKeys, place, key)

  const refusal = parts.transact(() => {
    const row = keyByIntent(parts.sql, intent)
    if (row?.state !== 'creating') throw inDoubt()
    const refused = refusalNow(parts, creation)
    parts.sql.exec(
      'UPDATE turn_keys SET uid = ?, sealed = ?, secret_version = ?, created = ?, modified = ?, checked_at = ? WHERE intent = ?',
      uid,
      sealed,
      FIRST_SECRET_VERSION,
      createdAt,
      modified,
      parts.now(),
      intent,
    )
    noteRootKey(parts, sealed)
    moveKey(parts.sql, row, refused ? 'deleting' : 'active', parts.now())
    parts.jobs.remove(SETTLE_JOB, intent)
    if (refused) {
      scheduleRemoval(parts, uid, 0)
      parts.idempotency.finish(CREATE_ROUTE, intent, refused)
    }
    record(
      parts,
      creation,
      refused ? { target: uid, outcome: 'refused', code: refused.code } : { target: uid, outcome: 'done' },
    )
    return refused
  })
  if (refusal) throw errorOf(refusal)
}

/** What the creation rests on, read again: the tenant suspended or the token deleted since is a refusal. */
function refusalNow(parts: TenantParts, creation: TurnKeyCreation): Failure | undefined {
  try {
    requireActive(parts)
    authorize(parts, creation.caller, 'turn_keys:write')
    return
  } catch (error) {
    if (error instanceof BrokerError) return { ...error.failure, doNotRepeat: true }
    throw error
  }
}

/** After the POST: a refusal of upstream's ends the creation; anything unforeseen leaves it to the job. */
function settledOrInDoubt(parts: TenantParts, creation: TurnKeyCreation, intent: string, error: unknown): BrokerError {
  const row = keyByIntent(parts.sql, intent)
  if (row?.state !== 'creating') return error instanceof BrokerError ? error : inDoubt()
  if (error instanceof Refused) return refusedUpstream(parts, creation, row, error.failure)
  try {
    parts.transact(() => {
      moveKey(parts.sql, row, 'unknown', parts.now())
      record(parts, creation, { target: intent, outcome: 'unknown', code: 'outcome_unknown' })
    })
  } catch {
    // Storage takes nothing: the intent stays `creating`, and its job finds it so.
  }
  return inDoubt()
}

function refusedUpstream(
  parts: TenantParts,
  creation: TurnKeyCreation,
  row: TurnKeyRow,
  failure: Failure,
): BrokerError {
  // Told to wait, the caller may try again, also under the same Idempotency-Key; any other refusal is final.
  const final: Failure = failure.retryAfterSeconds === undefined ? { ...failure, doNotRepeat: true } : failure
  parts.transact(() => {
    failCreation(parts, row, final)
    if (!final.doNotRepeat) parts.idempotency.forget(CREATE_ROUTE, row.intent)
    record(parts, creation, { target: row.intent, outcome: 'failed', code: final.code })
  })
  return errorOf(final)
}
