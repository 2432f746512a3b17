/**
 * Importing a TURN key: its secret is in the caller's hands, so nothing can be lost and nothing is in doubt. All that is
 * asked upstream may be asked again; until the one commit at the end, the claim of the uid is the only trace, and a
 * job frees it. An imported key is never deleted upstream for a failure of its import.
 */
import { failureOf } from '../../cloudflare/failures.ts'
import { readMarkedName } from '../../cloudflare/markers.ts'
import type { UpstreamKey } from '../../cloudflare/turnKeys.ts'
import type { TurnKeyView } from '../../contract/resources/turnKeys.ts'
import { seal } from '../../crypto/seal.ts'
import { BrokerError, errorOf, unwrap } from '../../errors.ts'
import type { TurnKeyImportCall } from '../../rpc/turnKeys.ts'
import { audit } from '../../storage/audit.ts'
import type { EarlierRequest } from '../../storage/idempotency.ts'
import type { Job, JobOutcome } from '../../storage/jobs.ts'
import { authorize } from '../core/authorization.ts'
import type { TenantContext } from '../core/context.ts'
import { requireActive, tenantRecord } from '../core/tenantRow.ts'
import { publishKey } from '../turnKeys/cacheEntry.ts'
import { countTakenPlaces, keyByIntent, keyByUid, type NamedTurnKeyRow, turnKeyView } from '../turnKeys/rows.ts'
import { isVisible } from '../turnKeys/states.ts'
import { freeFinalRows, type ImportedRow, insertImported, renewSecret } from './importRows.ts'
import { askForProof, type Proof, recordProof } from './proof.ts'

export const IMPORT_JOB = 'import-turn-key'
const ROUTE = 'turn-key-import'
/** The job takes over when the request is surely gone. */
const TAKEOVER_MS = 30_000
const GET_DEADLINE_MS = 3_000
/** Of the route's 12 s; leaves time for the commit and the way back. */
const REQUEST_MS = 10_000

/**
 * 1. Refuse or replay. 2. Claim the uid. 3. It must be in our account. 4. One mint proves the secret. 5. Seal and store, in one
 * commit. Also the cure of a key whose secret was lost: imported again, it has the new one.
 */
export async function importTurnKey(ctx: TenantContext, call: TurnKeyImportCall): Promise<TurnKeyView> {
  const { uid } = call.input
  const until = ctx.now() + REQUEST_MS
  const earlier = ctx.transact(() => replayable(ctx, call) ?? begin(ctx, call))
  if (earlier?.answer) return JSON.parse(earlier.answer) as TurnKeyView // stored by `store`
  if (earlier) throw new BrokerError('idempotency_in_progress', { retryAfterSeconds: 2 })
  return ctx.mutex.run(uid, async () => {
    try {
      const known = await claimed(ctx, call)
      const proof = await proven(ctx, call, until)
      const view = await store(ctx, call, { known, proof })
      await publishKey(ctx, uid)
      return view
    } catch (error) {
      await undo(ctx, uid)
      throw error
    }
  })
}

function replayable(ctx: TenantContext, call: TurnKeyImportCall): EarlierRequest | undefined {
  authorize(ctx, call.caller, 'turn_keys:write')
  return call.idempotency && ctx.idempotency.find(ROUTE, call.idempotency)
}

function begin(ctx: TenantContext, call: TurnKeyImportCall): undefined {
  requireImportable(ctx, call.input.uid)
  if (call.idempotency) ctx.idempotency.begin(ROUTE, call.idempotency, call.input.uid)
  ctx.jobs.put(IMPORT_JOB, call.input.uid, ctx.now() + TAKEOVER_MS)
}

/** The row that would get a new secret, if the tenant has the key already. */
function requireImportable(ctx: TenantContext, uid: string): NamedTurnKeyRow | undefined {
  const { policy } = requireActive(ctx)
  const row = keyByUid(ctx.sql, uid)
  if (row && isVisible(row.state)) return row
  if (row?.state === 'creating' || row?.state === 'deleting') throw conflict('Something else is done with this key.')
  if (countTakenPlaces(ctx.sql, ctx.now()) >= policy.maxTurnKeys) throw new BrokerError('turn_key_limit')
  return
}

/** What upstream knows of the key, once it is the tenant's. */
async function claimed(ctx: TenantContext, { input }: TurnKeyImportCall): Promise<UpstreamKey> {
  const { id: tenant, policy } = tenantRecord(ctx)
  if (!unwrap(await ctx.account().claimTurnKey(input.uid, tenant))) {
    throw conflict('This TURN key belongs to another tenant.')
  }
  unwrap(await ctx.account().spend({ tenant, limit: policy.maxApiCallsPer5Min, purpose: 'operator' }))
  const reply = await ctx.turnKeys.get(input.uid, GET_DEADLINE_MS)
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
  return reply.value
}

async function proven(ctx: TenantContext, { input: { uid, key } }: TurnKeyImportCall, until: number): Promise<Proof> {
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
  const { id: tenant } = tenantRecord(ctx)
  const version = (keyByUid(ctx.sql, uid)?.secret_version ?? 0) + 1
  const place = { purpose: 'turn-key-secret', tenant, record: uid, version } as const
  const sealed = await seal(ctx.config.rootKeys, place, key)
  return ctx.transact(() => {
    const { actor } = authorize(ctx, call.caller, 'turn_keys:write')
    const row = requireImportable(ctx, uid)
    // Sealed anew by somebody else meanwhile: what is in hand fits no more.
    if (version !== (keyByUid(ctx.sql, uid)?.secret_version ?? 0) + 1) throw new BrokerError('broker_busy')
    const marked = readMarkedName(known.name)
    const imported: ImportedRow = {
      uid,
      intent: marked?.intent,
      name: call.input.name ?? marked?.name ?? known.name,
      sealed,
      version,
      created: known.created,
      modified: known.modified,
    }
    if (row) renewSecret(ctx, row, imported)
    else {
      freeFinalRows(ctx.sql, imported)
      insertImported(ctx, imported)
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
  ctx.mutex.run(uid, async () => ((await undo(ctx, uid)) ? 'done' : 'retry'))

/** Frees what an import that came to nothing had claimed. Whether it could; if not, its job does. */
async function undo(ctx: TenantContext, uid: string): Promise<boolean> {
  try {
    const row = keyByUid(ctx.sql, uid)
    const isOurs = row !== undefined && row.state !== 'deleted' && row.state !== 'failed'
    if (!isOurs) unwrap(await ctx.account().releaseTurnKey(uid, tenantRecord(ctx).id))
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
