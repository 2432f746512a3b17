/**
 * Settling a doubtful creation. Its secret is gone, so the key must go too: upstream's list is searched for the
 * intent's marker, a key found under it is deleted, and the creation ends `failed`. Lists lag, so an absence is
 * believed only after the last of five looks in 24 hours.
 */
import { type Failure, unwrap } from '../errors.ts'
import { audit } from '../storage/audit.ts'
import type { Job, JobOutcome } from '../storage/jobs.ts'
import type { TenantParts } from './parts.ts'
import { tenantRecord } from './record.ts'
import { keyByIntent, moveKey, type TurnKeyRow } from './turnKeyRows.ts'
import { LOOK_AFTER_MS, marker } from './turnKeyStates.ts'

export const SETTLE_JOB = 'settle-creation'
/** The `Idempotency-Key` scope of creations. */
export const CREATE_ROUTE = 'turn-keys'
const REMOVE_DEADLINE_MS = 8_000

/** What a caller is told who asks again after the doubt was settled. */
const SETTLED: Failure = {
  code: 'upstream_failed',
  detail: 'The creation was in doubt and has been undone: there is no TURN key from it.',
  doNotRepeat: true,
}

export async function settleCreation(parts: TenantParts, { key: intent }: Job): Promise<JobOutcome> {
  const row = keyByIntent(parts.sql, intent)
  if (row?.state !== 'creating' && row?.state !== 'unknown') return 'done'
  if (row.state === 'creating') parts.transact(() => moveKey(parts.sql, row, 'unknown', parts.now()))

  const found = unwrap(await parts.account().markedTurnKeys(marker(parts.config.deployment, intent), row.begun_at))
  const { id: tenant, policy } = tenantRecord(parts)
  for (const uid of found) {
    unwrap(await parts.account().spend({ tenant, limit: policy.maxApiCallsPer5Min, purpose: 'recovery' }))
    const reply = await parts.turnKeys.remove(uid, REMOVE_DEADLINE_MS)
    if (reply.kind !== 'ok' && reply.kind !== 'gone') return 'retry'
  }
  const next = LOOK_AFTER_MS[row.looks + 1]
  if (found.length === 0 && next !== undefined) {
    parts.transact(() => parts.sql.exec('UPDATE turn_keys SET looks = looks + 1 WHERE intent = ?', intent))
    return { againAt: Math.max(row.begun_at + next, parts.now() + 1_000) }
  }
  parts.transact(() => {
    failCreation(parts, row, SETTLED)
    audit(parts.sql, parts.now(), {
      actor: 'broker',
      action: found.length > 0 ? 'turn_key.undo' : 'turn_key.give_up',
      target: intent,
      outcome: 'done',
    })
  })
  return 'done'
}

/** Ends a creation for good, inside a transaction; a repeat with its `Idempotency-Key` is told the same. */
export function failCreation(parts: TenantParts, row: TurnKeyRow, failure: Failure): void {
  moveKey(parts.sql, row, 'failed', parts.now())
  parts.idempotency.finish(CREATE_ROUTE, row.intent, failure)
  parts.jobs.remove(SETTLE_JOB, row.intent)
}
