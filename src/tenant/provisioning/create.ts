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
import type { TenantContext } from '../core/context.ts'
import { requireActive, tenantRecord } from '../core/tenantRow.ts'
import { publishKey } from '../turnKeys/cacheEntry.ts'
import { countTakenPlaces, forgetOldKeys, keyByIntent, type TurnKeyRow } from '../turnKeys/rows.ts'
import { RECONCILE_AFTER_MS } from '../turnKeys/states.ts'
import { CREATE_ROUTE, transition, transitionInTransaction } from './apply.ts'
import { IN_DOUBT, type KeyEvent, SETTLE_JOB } from './machine/vocabulary.ts'
import { answer, record, replayAttempt, replayCreation } from './replay.ts'
import { dedupeSdkRetry } from './sdkRetries.ts'

/** Leaves time, within the route's 12 s, for the budget, the owner's claim and the commit. */
const POST_DEADLINE_MS = 9_000
const FIRST_SECRET_VERSION = 1

/**
 * 1. Refuse or replay what can be refused or replayed. 2. Take one call out of the budget. 3. Store the intent and its
 * job. 4. One POST, never repeated. 5. Check the answer, and that the uid is nobody else's. 6. Seal and store, in one
 * commit. 7. Answer. Any doubt between 4 and 6 leaves the intent to its job.
 */
export async function createTurnKey(ctx: TenantContext, creation: TurnKeyCreation): Promise<CreatedTurnKey> {
  const intent = newIntent()
  const { attempt } = creation
  if (!attempt) return createOnce(ctx, creation, intent)
  authorize(ctx, creation.caller, 'turn_keys:write')
  return dedupeSdkRetry(
    ctx,
    { ...creation, attempt },
    {
      route: CREATE_ROUTE,
      intent,
      admit: () => void admit(ctx, creation),
      anew: (mine) => createOnce(ctx, creation, mine),
      // Without an intent the first attempt came to nothing before it was stored.
      again: (first) =>
        keyByIntent(ctx.sql, first) ? replayAttempt(ctx, creation, first) : createOnce(ctx, creation, first),
    },
  )
}

async function createOnce(ctx: TenantContext, creation: TurnKeyCreation, intent: string): Promise<CreatedTurnKey> {
  const earlier = admit(ctx, creation)
  if (earlier) return replayCreation(ctx, creation, earlier)

  const { id: tenant, policy } = tenantRecord(ctx)
  const purpose = creation.caller.kind === 'operator' ? 'operator' : 'tenant'
  unwrap(await ctx.account().spend({ tenant, limit: policy.maxApiCallsPer5Min, purpose, intent }))

  // The budget was asked across an await: everything is decided again in the transaction that stores the intent.
  const meanwhile = ctx.transact(() => admit(ctx, creation) ?? storeIntent(ctx, creation, intent))
  if (meanwhile) return replayCreation(ctx, creation, meanwhile)
  ctx.memory.creations.add(intent)
  try {
    await ctx.storage.sync()
    const failure = await makeKey(ctx, creation, { intent, requireGrounds: () => requireGrounds(ctx, creation) })
    if (failure) throw errorOf(failure)
  } finally {
    ctx.memory.creations.delete(intent)
  }
  await publishKey(ctx, keyByIntent(ctx.sql, intent)?.uid ?? '')
  try {
    return await answer(ctx, creation, intent)
  } catch (error) {
    // The key is there: whatever fails now must not have the caller make another.
    const failure: Failure = error instanceof BrokerError ? error.failure : { code: 'internal' }
    throw errorOf({ ...failure, doNotRepeat: true })
  }
}

/** Everything that can be decided here and now: throws a refusal, or gives the earlier request with the same key. */
function admit(ctx: TenantContext, creation: TurnKeyCreation): EarlierRequest | undefined {
  authorize(ctx, creation.caller, 'turn_keys:write')
  const earlier = creation.idempotency && ctx.idempotency.find(CREATE_ROUTE, creation.idempotency)
  if (earlier) return earlier
  const { policy } = requireActive(ctx)
  if (countTakenPlaces(ctx.sql, ctx.now()) >= policy.maxTurnKeys) {
    throw new BrokerError('turn_key_limit', { doNotRepeat: true })
  }
  return
}

function storeIntent(ctx: TenantContext, creation: TurnKeyCreation, intent: string): undefined {
  const now = ctx.now()
  forgetOldKeys(ctx.sql, now)
  ctx.sql.exec(
    "INSERT INTO turn_keys (intent, state, name, begun_at, state_at) VALUES (?, 'creating', ?, ?, ?)",
    intent,
    creation.name,
    now,
    now,
  )
  if (creation.idempotency) ctx.idempotency.begin(CREATE_ROUTE, creation.idempotency, intent)
  record(ctx, creation, { target: intent, outcome: 'begun' })
  ctx.jobs.put(SETTLE_JOB, intent, now + RECONCILE_AFTER_MS[0])
}

/** From the one POST to the commit. Whatever is not clearly a yes or a no leaves the intent to its job. */
export async function makeKey(
  ctx: TenantContext,
  call: Call,
  { intent, requireGrounds }: { readonly intent: string; readonly requireGrounds: () => void },
): Promise<Failure | undefined> {
  const row = keyByIntent(ctx.sql, intent)
  if (!row) return IN_DOUBT
  try {
    const event = await post(ctx, row)
    // What the creation rests on is read in the transaction that ends it.
    return ctx.transact(() => {
      const it = event.kind === 'created' ? { ...event, refusal: refusalBy(requireGrounds) } : event
      return transitionInTransaction(ctx, row, it, call).failure
    })
  } catch {
    try {
      return transition(ctx, row, { kind: 'doubted' }, call).failure
    } catch {
      // Storage takes nothing: the intent stays `creating`, and its job finds it so.
      return IN_DOUBT
    }
  }
}

/** The one POST, and what the machine is to make of its answer. Seals what is to be stored. */
async function post(ctx: TenantContext, { intent, name: own }: TurnKeyRow): Promise<KeyEvent> {
  const { deployment } = ctx.config
  const { id: tenant } = tenantRecord(ctx)
  const reply = await ctx.turnKeys.create(markedName(deployment, intent, own), POST_DEADLINE_MS)
  // "No such key" is no answer to a creation.
  if (reply.kind === 'doubtful' || reply.kind === 'gone') return { kind: 'doubted' }
  if (reply.kind !== 'ok') return { kind: 'refused', failure: failureOf(reply) }
  // An answer about a key of another name is no answer to what was asked.
  const { uid, key, name, created, modified } = reply.value
  if (!isMarked(name, marker(deployment, intent))) return { kind: 'doubted' }
  if (!unwrap(await ctx.account().claimTurnKey(uid, tenant))) return { kind: 'doubted' }
  const place = { purpose: 'turn-key-secret', tenant, record: uid, version: FIRST_SECRET_VERSION } as const
  const sealed = await seal(ctx.config.rootKeys, place, key)
  const columns = { sealed, secret_version: FIRST_SECRET_VERSION, created, modified }
  return { kind: 'created', uid, columns, refusal: undefined }
}

/** What the creation rests on, read again: the tenant suspended or the token deleted since is a refusal. */
function requireGrounds(ctx: TenantContext, creation: TurnKeyCreation): void {
  requireActive(ctx)
  authorize(ctx, creation.caller, 'turn_keys:write')
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
