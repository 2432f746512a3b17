/**
 * Importing a TURN key. The caller has its secret, so nothing can be lost and no outcome is unknown: every call may be
 * repeated. Until the one commit at the end, the claim of the uid is the only trace, and a job frees it. A failed import
 * never deletes the key at Cloudflare.
 */
import { failureOf } from '../../cloudflare/failures.ts'
import { newIntent, readMarkedName } from '../../cloudflare/markers.ts'
import type { UpstreamKey } from '../../cloudflare/turnKeys.ts'
import type { TurnKeyView } from '../../contract/resources/turnKeys.ts'
import { Name } from '../../contract/values.ts'
import { BrokerError, errorOf, unwrap } from '../../errors.ts'
import type { TurnKeyImportCall } from '../../rpc/turnKeys.ts'
import { audit } from '../../storage/audit.ts'
import type { EarlierRequest } from '../../storage/idempotency.ts'
import type { Job, JobOutcome } from '../../storage/jobs.ts'
import { Purse } from '../core/apiCalls.ts'
import { authorize } from '../core/authorization.ts'
import type { TenantContext } from '../core/context.ts'
import { noteRootKey } from '../core/rootKeyUse.ts'
import { requireActive, tenantId } from '../core/tenantRow.ts'
import { publishKey } from '../turnKeys/cacheEntry.ts'
import { countTakenPlaces, keyByIntent, keyByUid, type NamedTurnKeyRow, turnKeyView } from '../turnKeys/rows.ts'
import { sealSecret } from '../turnKeys/secret.ts'
import { isVisible } from '../turnKeys/states.ts'
import { freeFinalRows, insertImported, replaceSecret } from '../turnKeys/writes.ts'
import { transitionInTransaction } from './apply.ts'
import { askForProof, type Proof, recordProof } from './proof.ts'

export const IMPORT_JOB = 'import-turn-key'
const ROUTE = 'turn-key-import'
/** When the job takes over: by then the request has ended. */
const TAKEOVER_MS = 30_000
const GET_DEADLINE_MS = 3_000
/** The route has 12 s; the rest is for the commit and the answer. */
const REQUEST_MS = 10_000

/**
 * 1. Refuse or replay. 2. Claim the uid. 3. Check that the key is in the broker's account. 4. Prove the secret by one mint.
 * 5. Seal and store, in one commit. Importing a key again replaces a secret that was lost.
 */
export async function importTurnKey(ctx: TenantContext, call: TurnKeyImportCall): Promise<TurnKeyView> {
  const { uid } = call.input
  const until = ctx.now() + REQUEST_MS
  const earlier = ctx.transact(() => earlierImport(ctx, call) ?? scheduleRelease(ctx, call))
  if (earlier?.answer) return JSON.parse(earlier.answer) as TurnKeyView // stored by `store`
  if (earlier) throw new BrokerError('idempotency_in_progress', { retryAfterSeconds: 2 })
  return ctx.mutex.run(uid, async () => {
    try {
      const known = await claim(ctx, call)
      const proof = await prove(ctx, call, until)
      const view = await store(ctx, call, { known, proof })
      await publishKey(ctx, uid)
      return view
    } catch (error) {
      await releaseClaim(ctx, uid)
      throw error
    }
  })
}

function earlierImport(ctx: TenantContext, call: TurnKeyImportCall): EarlierRequest | undefined {
  authorize(ctx, call.caller, 'turn_keys:write')
  return call.idempotency && ctx.idempotency.find(ROUTE, call.idempotency)
}

/** Before the claim: the job that frees it, should the import fail or its object die. */
function scheduleRelease(ctx: TenantContext, call: TurnKeyImportCall): undefined {
  requireImportable(ctx, call.input.uid)
  if (call.idempotency) ctx.idempotency.begin(ROUTE, call.idempotency, call.input.uid)
  ctx.jobs.put(IMPORT_JOB, call.input.uid, ctx.now() + TAKEOVER_MS)
}

/** The row whose secret would be replaced, if the tenant has the key already. Throws a refusal. */
function requireImportable(ctx: TenantContext, uid: string): NamedTurnKeyRow | undefined {
  const { policy } = requireActive(ctx)
  const row = keyByUid(ctx.sql, uid)
  if (row && isVisible(row.state)) return row
  if (row?.state === 'creating' || row?.state === 'deleting') throw conflict('Something else is done with this key.')
  if (countTakenPlaces(ctx.sql, ctx.now()) >= policy.maxTurnKeys) throw new BrokerError('turn_key_limit')
  return
}

/** Claims the key for this tenant and answers its metadata at Cloudflare. */
async function claim(ctx: TenantContext, { input }: TurnKeyImportCall): Promise<UpstreamKey> {
  if (!unwrap(await ctx.account.claimTurnKey(input.uid, tenantId(ctx)))) {
    throw conflict('This TURN key belongs to another tenant.')
  }
  const reply = await new Purse(ctx, 'operator').pay(() => ctx.turnKeys.get(input.uid, GET_DEADLINE_MS))
  if (reply.kind === 'gone') throw conflict("There is no such TURN key in the broker's account.")
  if (reply.kind !== 'ok') throw errorOf(failureOf(reply))
  const marked = readMarkedName(reply.value.name)
  if (marked && marked.deployment !== ctx.config.deployment) {
    throw conflict('This TURN key belongs to another deployment of the broker.')
  }
  const creation = marked && keyByIntent(ctx.sql, marked.intent)
  if (creation?.state === 'creating' || creation?.state === 'unknown') {
    throw conflict('The creation of this TURN key is still being settled.')
  }
  requireGoodName(input.name ?? marked?.name ?? reply.value.name)
  return reply.value
}

/** A name that comes from Cloudflare obeys the rules of names too: it is stored and shown like any other. */
function requireGoodName(name: string): void {
  if (Name.safeParse(name).success) return
  throw new BrokerError('invalid_request', {
    detail:
      'name: must be given, because the name of this TURN key at Cloudflare is too long or contains control characters',
  })
}

async function prove(ctx: TenantContext, { input: { uid, key } }: TurnKeyImportCall, until: number): Promise<Proof> {
  const reply = await askForProof(ctx, { uid, secret: key }, { until, makesSense: ({ kind }) => kind === 'doubtful' })
  if (reply.kind === 'ok') return reply.value
  if (reply.kind === 'refused' || reply.kind === 'gone') throw conflict('This secret does not mint for this TURN key.')
  throw errorOf(failureOf(reply))
}

async function store(
  ctx: TenantContext,
  call: TurnKeyImportCall,
  { known, proof }: { readonly known: UpstreamKey; readonly proof: Proof },
): Promise<TurnKeyView> {
  const { uid, key } = call.input
  const version = (keyByUid(ctx.sql, uid)?.secret_version ?? 0) + 1
  const sealed = await sealSecret(ctx, { uid, version }, key)
  return ctx.transact(() => {
    const { actor } = authorize(ctx, call.caller, 'turn_keys:write')
    const row = requireImportable(ctx, uid)
    // The row's secret was resealed or replaced meanwhile: this sealed text has the wrong version.
    if (version !== (keyByUid(ctx.sql, uid)?.secret_version ?? 0) + 1) throw new BrokerError('broker_busy')
    const marked = readMarkedName(known.name)
    noteRootKey(ctx, sealed)
    if (row) {
      replaceSecret(ctx.sql, row, { sealed, version })
      transitionInTransaction(ctx, row, { kind: 'checked', reply: { kind: 'ok', modified: known.modified } })
    } else {
      freeFinalRows(ctx.sql, uid, marked?.intent)
      const { created, modified } = known
      const name = call.input.name ?? marked?.name ?? known.name
      const intent = marked?.intent ?? newIntent()
      insertImported(ctx.sql, { uid, intent, name, sealed, secret_version: version, created, modified }, ctx.now())
    }
    recordProof(ctx, uid, proof)
    const { requestId } = call
    audit(ctx.sql, ctx.now(), { actor, action: 'turn_key.import', target: uid, outcome: 'done', requestId })
    ctx.jobs.remove(IMPORT_JOB, uid)
    const stored = keyByUid(ctx.sql, uid)
    if (!stored) throw new BrokerError('internal')
    const view = turnKeyView(stored)
    ctx.idempotency.finish(ROUTE, uid, view)
    return view
  })
}

export const importJob = (ctx: TenantContext, { key: uid }: Job): Promise<JobOutcome> =>
  ctx.mutex.run(uid, async () => ((await releaseClaim(ctx, uid)) ? 'done' : 'retry'))

/** Frees the claim of an import that failed. Whether it could; if not, its job tries again. */
async function releaseClaim(ctx: TenantContext, uid: string): Promise<boolean> {
  try {
    const row = keyByUid(ctx.sql, uid)
    const isOurs = row !== undefined && row.state !== 'deleted' && row.state !== 'failed'
    if (!isOurs) unwrap(await ctx.account.releaseTurnKey(uid, tenantId(ctx)))
    ctx.transact(() => {
      ctx.idempotency.forgetUnanswered(ROUTE, uid)
      ctx.jobs.remove(IMPORT_JOB, uid)
    })
    return true
  } catch {
    return false
  }
}

const conflict = (detail: string) => new BrokerError('conflict', { detail })
