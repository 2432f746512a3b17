/** Creating a TURN key. Its crash protocol is withIntent.ts; the same way of making a key serves a rotation. */
import { failureOf } from '../../cloudflare/failures.ts'
import { isMarked, markedName, marker, newIntent } from '../../cloudflare/markers.ts'
import type { CreatedTurnKey } from '../../contract/resources/turnKeys.ts'
import { BrokerError, type Failure, storable, unwrap } from '../../errors.ts'
import type { Call } from '../../rpc/calls.ts'
import type { TurnKeyCreation } from '../../rpc/turnKeys.ts'
import type { EarlierRequest } from '../../storage/idempotency.ts'
import type { Job, JobOutcome } from '../../storage/jobs.ts'
import { purposeOf, sendPaid } from '../core/apiCalls.ts'
import { authorize } from '../core/authorization.ts'
import type { TenantContext } from '../core/context.ts'
import { requireActive, requireNotDeleting, tenantId } from '../core/tenantRow.ts'
import { publishKey } from '../turnKeys/cacheEntry.ts'
import { countTakenPlaces, keyByIntent, keyByUid, type NamedTurnKeyRow, type TurnKeyRow } from '../turnKeys/rows.ts'
import { FIRST_SECRET_VERSION, openKey, sealSecret } from '../turnKeys/secret.ts'
import { RECONCILE_AFTER_MS } from '../turnKeys/states.ts'
import { insertIntent } from '../turnKeys/writes.ts'
import { CREATE_ROUTE, transition, transitionInTransaction } from './apply.ts'
import { isClearNo, NOT_YET } from './machine/firstMint.ts'
import { type CreationEvent, IN_DOUBT, type KeyEvent, SETTLE_JOB } from './machine/vocabulary.ts'
import { askForProof, SHORTEST_PROOF_MS } from './proof.ts'
import { answerCreation, auditKey, replayAttempt, replayCreation, withoutRepeat } from './replay.ts'
import { dedupeSdkRetry } from './sdkRetries.ts'
import { withIntent } from './withIntent.ts'

/** The route has 12 s; the rest is for the budget, the claim of the uid and the commit. */
const POST_DEADLINE_MS = 9_000
/** The rest is for the commit and the answer. */
const REQUEST_MS = 11_000
/** How long a job may take for one proof. */
const JOB_MS = 6_000

/**
 * The steps are those of withIntent.ts; the key is made by one POST that is never repeated, a check that the uid belongs to
 * no other tenant, one commit that stores the sealed secret, and one mint with it before the key is shown.
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
      first: (own) => createOnce(ctx, creation, own),
      // Without a row the first attempt failed before its intent was stored.
      replay: (first) =>
        keyByIntent(ctx.sql, first) ? replayAttempt(ctx, creation, first) : createOnce(ctx, creation, first),
    },
  )
}

async function createOnce(ctx: TenantContext, creation: TurnKeyCreation, intent: string): Promise<CreatedTurnKey> {
  const until = ctx.now() + REQUEST_MS
  return withIntent(ctx, {
    caller: creation.caller,
    intent,
    admit: () => admit(ctx, creation),
    store: () => storeIntent(ctx, creation, intent),
    make: async () =>
      (await makeKey(ctx, creation, { intent, recheck: () => recheck(ctx, creation) })) ??
      // Storage that refuses the commit leaves the key to its job: a repeat would make another.
      (await tryKey(ctx, { intent, until, recheck: () => recheck(ctx, creation), by: creation }).catch(() => NOT_YET)),
    replay: (earlier) => replayCreation(ctx, creation, earlier),
    answer: async () => {
      await publishKey(ctx, keyByIntent(ctx.sql, intent)?.uid ?? '')
      return withoutRepeat(() => answerCreation(ctx, creation, intent))
    },
  })
}

/** Throws a refusal, or gives the earlier request with the same `Idempotency-Key`. */
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
  insertIntent(ctx.sql, { intent, name: creation.name, now })
  if (creation.idempotency) ctx.idempotency.begin(CREATE_ROUTE, creation.idempotency, intent)
  auditKey(ctx, creation, { target: intent, outcome: 'begun' })
  ctx.jobs.put(SETTLE_JOB, intent, now + RECONCILE_AFTER_MS[0])
}

/**
 * From the one POST to the commit. `recheck` throws when the caller lost the right meanwhile. Any outcome that is neither a
 * clear yes nor a clear no leaves the intent to its job.
 */
export async function makeKey(
  ctx: TenantContext,
  call: Call,
  { intent, recheck }: { readonly intent: string; readonly recheck: () => void },
): Promise<Failure | undefined> {
  const row = keyByIntent(ctx.sql, intent)
  if (!row) return IN_DOUBT
  try {
    const answered = await post(ctx, call, row)
    // The caller's right is checked again in the transaction that stores the key.
    return ctx.transact(() => {
      const event = answered.kind === 'created' ? { ...answered, refusal: refusalBy(recheck) } : answered
      return transitionInTransaction(ctx, row, event, call).failure
    })
  } catch {
    try {
      return transition(ctx, row, { kind: 'doubted' }, call).failure
    } catch {
      // Storage refuses every write: the intent stays `creating` until its job runs.
      return IN_DOUBT
    }
  }
}

/** The one POST, and the event it is for the state machine. Seals the secret. */
async function post(ctx: TenantContext, { caller }: Call, row: TurnKeyRow): Promise<KeyEvent> {
  const { deployment } = ctx.config
  const { intent } = row
  const reply = await sendPaid(ctx, purposeOf(caller), () =>
    ctx.turnKeys.create(markedName(deployment, intent, row.name), POST_DEADLINE_MS),
  )
  // "No such key" is no answer to a creation.
  if (reply.kind === 'doubtful' || reply.kind === 'gone') return { kind: 'doubted' }
  if (reply.kind !== 'ok') return { kind: 'refused', failure: failureOf(reply) }
  // The answer names another key: it says nothing about this creation.
  const { uid, key, name, created, modified } = reply.value
  if (!isMarked(name, marker(deployment, intent))) return { kind: 'doubted' }
  if (!unwrap(await ctx.account.claimTurnKey(uid, tenantId(ctx)))) return { kind: 'doubted' }
  const sealed = await sealSecret(ctx, { uid, version: FIRST_SECRET_VERSION }, key)
  const columns = { sealed, secret_version: FIRST_SECRET_VERSION, created, modified }
  return { kind: 'created', uid, columns, refusal: undefined }
}

interface Trial {
  readonly intent: string
  readonly until: number
  /** Throws when the key must not become active any more. */
  readonly recheck: () => void
  /** Absent: the job. */
  readonly by?: Call
}

/**
 * The first mint with a stored key, which then becomes active. `undefined`: it did, or another event ended the creation. The
 * credential is on no ledger: it was given to no caller, and Cloudflare ends it after a minute.
 */
function tryKey(ctx: TenantContext, { intent, until, recheck, by }: Trial): Promise<Failure | undefined> {
  return ctx.mutex.run(intent, async () => {
    const row = keyByIntent(ctx.sql, intent)
    if (row?.state !== 'creating' || row.uid === null || row.replaces !== null) return
    const reply = await firstMint(ctx, { ...row, uid: row.uid }, until)
    return ctx.transact(
      () =>
        transitionInTransaction(
          ctx,
          row,
          { kind: 'tried', reply, refusal: refusalBy(recheck), isAwaited: by !== undefined },
          by,
        ).failure,
    )
  })
}

async function firstMint(ctx: TenantContext, row: NamedTurnKeyRow, until: number): Promise<CreationEvent['reply']> {
  if (until - ctx.now() < SHORTEST_PROOF_MS) return NOT_ASKED
  try {
    const customIdentifier = marker(ctx.config.deployment, row.intent)
    const key = await openKey(ctx, row)
    const reply = await askForProof(ctx, key, { until, makesSense: isClearNo, customIdentifier })
    return reply.kind === 'ok' ? { kind: 'ok' } : reply
  } catch {
    // The secret does not open here: no answer of Cloudflare's.
    return NOT_ASKED
  }
}

const NOT_ASKED = { kind: 'doubtful', reason: 'network' } as const

/** The job: proves a key whose request has ended, or was answered that the key does not mint yet. */
export async function provingJob(ctx: TenantContext, { key: uid }: Job): Promise<JobOutcome> {
  const intent = keyByUid(ctx.sql, uid)?.intent
  // The state machine schedules the next run.
  if (intent) {
    await tryKey(ctx, { intent, until: ctx.now() + JOB_MS, recheck: () => void requireNotDeleting(ctx) })
    await publishKey(ctx, uid)
  }
  return 'done'
}

/** Throws when the tenant was suspended or the API token deleted while Cloudflare was asked. */
function recheck(ctx: TenantContext, creation: TurnKeyCreation): void {
  requireActive(ctx)
  authorize(ctx, creation.caller, 'turn_keys:write')
}

function refusalBy(recheck: () => void): Failure | undefined {
  try {
    recheck()
    return
  } catch (error) {
    if (error instanceof BrokerError) return { ...storable(error.failure), doNotRepeat: true }
    throw error
  }
}
