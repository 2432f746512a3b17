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
import type { TenantParts } from '../core/context.ts'
import { requireActive, tenantRecord } from '../core/tenantRow.ts'
import { publishKey } from '../turnKeys/cacheEntry.ts'
import { countTakenPlaces, keyByIntent, keyByUid, type NamedTurnKeyRow, viewOf } from '../turnKeys/rows.ts'
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
export async function importTurnKey(parts: TenantParts, call: TurnKeyImportCall): Promise<TurnKeyView> {
  const { uid } = call.input
  const until = parts.now() + REQUEST_MS
  const earlier = parts.transact(() => replayable(parts, call) ?? begin(parts, call))
  if (earlier?.answer) return JSON.parse(earlier.answer) as TurnKeyView // stored by `store`
  if (earlier) throw new BrokerError('idempotency_in_progress', { retryAfterSeconds: 2 })
  return parts.serial.run(uid, async () => {
    try {
      const known = await claimed(parts, call)
      const proof = await proven(parts, call, until)
      const view = await store(parts, call, { known, proof })
      await publishKey(parts, uid)
      return view
    } catch (error) {
      await undo(parts, uid)
      throw error
    }
  })
}

function replayable(parts: TenantParts, call: TurnKeyImportCall): EarlierRequest | undefined {
  authorize(parts, call.caller, 'turn_keys:write')
  return call.idempotency && parts.idempotency.find(ROUTE, call.idempotency)
}

function begin(parts: TenantParts, call: TurnKeyImportCall): undefined {
  requireImportable(parts, call.input.uid)
  if (call.idempotency) parts.idempotency.begin(ROUTE, call.idempotency, call.input.uid)
  parts.jobs.put(IMPORT_JOB, call.input.uid, parts.now() + TAKEOVER_MS)
}

/** The row that would get a new secret, if the tenant has the key already. */
function requireImportable(parts: TenantParts, uid: string): NamedTurnKeyRow | undefined {
  const { policy } = requireActive(parts)
  const row = keyByUid(parts.sql, uid)
  if (row && isVisible(row.state)) return row
  if (row?.state === 'creating' || row?.state === 'deleting') throw conflict('Something else is done with this key.')
  if (countTakenPlaces(parts.sql, parts.now()) >= policy.maxTurnKeys) throw new BrokerError('turn_key_limit')
  return
}

/** What upstream knows of the key, once it is the tenant's. */
async function claimed(parts: TenantParts, { input }: TurnKeyImportCall): Promise<UpstreamKey> {
  const { id: tenant, policy } = tenantRecord(parts)
  if (!unwrap(await parts.account().claimTurnKey(input.uid, tenant))) {
    throw conflict('This TURN key belongs to another tenant.')
  }
  unwrap(await parts.account().spend({ tenant, limit: policy.maxApiCallsPer5Min, purpose: 'operator' }))
  const reply = await parts.turnKeys.get(input.uid, GET_DEADLINE_MS)
  if (reply.kind === 'gone') throw conflict("There is no such TURN key in the broker's account.")
  if (reply.kind !== 'ok') throw errorOf(failureOf(reply))
  const marked = readMarkedName(reply.value.name)
  if (marked && marked.deployment !== parts.config.deployment) {
    throw conflict('This TURN key belongs to another deployment of the broker.')
  }
  const creation = marked && keyByIntent(parts.sql, marked.intent)
  if (creation?.state === 'creating' || creation?.state === 'unknown') {
    throw conflict('The creation of this TURN key is still being settled.')
  }
  return reply.value
}

async function proven(parts: TenantParts, { input: { uid, key } }: TurnKeyImportCall, until: number): Promise<Proof> {
  const reply = await askForProof(parts, { uid, secret: key }, { until, makesSense: ({ kind }) => kind === 'doubtful' })
  if (reply.kind === 'ok') return reply.value
  if (reply.kind === 'refused' || reply.kind === 'gone') throw conflict('This secret does not mint for this TURN key.')
  throw errorOf(failureOf(reply))
}

async function store(
  parts: TenantParts,
  call: TurnKeyImportCall,
  { known, proof }: { readonly known: UpstreamKey; readonly proof: Proof },
): Promise<TurnKeyView> {
  const { uid, key } = call.input
  const { id: tenant } = tenantRecord(parts)
  const version = (keyByUid(parts.sql, uid)?.secret_version ?? 0) + 1
  const place = { purpose: 'turn-key-secret', tenant, record: uid, version } as const
  const sealed = await seal(parts.config.rootKeys, place, key)
  return parts.transact(() => {
    const { actor } = authorize(parts, call.caller, 'turn_keys:write')
    const row = requireImportable(parts, uid)
    // Sealed anew by somebody else meanwhile: what is in hand fits no more.
    if (version !== (keyByUid(parts.sql, uid)?.secret_version ?? 0) + 1) throw new BrokerError('broker_busy')
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
    if (row) renewSecret(parts, row, imported)
    else {
      freeFinalRows(parts.sql, imported)
      insertImported(parts, imported)
    }
    recordProof(parts, uid, proof)
    const { requestId } = call
    audit(parts.sql, parts.now(), { actor, action: 'turn_key.import', target: uid, outcome: 'done', requestId })
    parts.jobs.remove(IMPORT_JOB, uid)
    const stored = keyByUid(parts.sql, uid)
    if (!stored) throw new BrokerError('internal')
    const view = viewOf(stored)
    parts.idempotency.finish(ROUTE, uid, view)
    return view
  })
}

export const importJob = (parts: TenantParts, { key: uid }: Job): Promise<JobOutcome> =>
  parts.serial.run(uid, async () => ((await undo(parts, uid)) ? 'done' : 'retry'))

/** Frees what an import that came to nothing had claimed. Whether it could; if not, its job does. */
async function undo(parts: TenantParts, uid: string): Promise<boolean> {
  try {
    const row = keyByUid(parts.sql, uid)
    const isOurs = row !== undefined && row.state !== 'deleted' && row.state !== 'failed'
    if (!isOurs) unwrap(await parts.account().releaseTurnKey(uid, tenantRecord(parts).id))
    parts.transact(() => {
      parts.idempotency.forgetUnanswered(ROUTE, uid)
      parts.jobs.remove(IMPORT_JOB, uid)
    })
    return true
  } catch {
    return false
  }
}

const conflict = (detail: string) => new BrokerError('conflict', { detail })
