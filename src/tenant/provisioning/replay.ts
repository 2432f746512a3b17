/** What a creation is, and how it is answered: the first time, and to a repeat with the same `Idempotency-Key`. */
import { actorOf } from '../../auth/caller.ts'
import type { CreatedTurnKey } from '../../contract/resources/turnKeys.ts'
import { open } from '../../crypto/seal.ts'
import { BrokerError, errorOf, type Failure } from '../../errors.ts'
import type { Call } from '../../rpc/calls.ts'
import { audit } from '../../storage/audit.ts'
import type { EarlierRequest } from '../../storage/idempotency.ts'
import { authorize } from '../core/authorization.ts'
import type { TenantParts } from '../core/context.ts'
import { tenantRecord } from '../core/tenantRow.ts'
import { keyByIntent, type TurnKeyRow, viewOf } from '../turnKeys/rows.ts'
import { isVisible } from '../turnKeys/states.ts'
import { apply } from './apply.ts'
import { IN_DOUBT, SETTLED } from './machine/vocabulary.ts'

/** A repeat with the same `Idempotency-Key` is given the secret again for this long. */
const SECRET_REPEATED_MS = 600_000

/** A repeat with the same `Idempotency-Key`: what became of the first request. */
export async function replay(parts: TenantParts, creation: Call, earlier: EarlierRequest): Promise<CreatedTurnKey> {
  const row = keyByIntent(parts.sql, earlier.target)
  if (row?.state === 'creating' && parts.creations.has(row.intent))
    throw new BrokerError('idempotency_in_progress', { retryAfterSeconds: 2 })
  refuseDoubtful(parts, creation, row)
  if (earlier.answer !== null) throw errorOf(JSON.parse(earlier.answer) as Failure) // stored by `finish`, failures only
  return answer(parts, creation, earlier.target)
}

/** A repeat of the client's own, without a key: the first attempt is over, or its object is. */
export function replayAttempt(parts: TenantParts, creation: Call, intent: string): Promise<CreatedTurnKey> {
  const row = keyByIntent(parts.sql, intent)
  refuseDoubtful(parts, creation, row)
  if (row?.state === 'failed') throw errorOf(SETTLED)
  return answer(parts, creation, intent)
}

/** One that is still being created when nobody here is at it was left behind by an object that died. */
function refuseDoubtful(parts: TenantParts, creation: Call, row: TurnKeyRow | undefined): void {
  const failure = row?.state === 'creating' ? apply(parts, row, { kind: 'doubted' }, creation).failure : undefined
  if (failure || row?.state === 'unknown') throw errorOf(failure ?? IN_DOUBT)
}

export async function answer(parts: TenantParts, creation: Call, intent: string): Promise<CreatedTurnKey> {
  const row = keyByIntent(parts.sql, intent)
  if (!row || !isVisible(row.state)) {
    throw new BrokerError('conflict', { doNotRepeat: true, detail: 'The TURN key of this creation was deleted since.' })
  }
  const key = await secretOf(parts, creation, row)
  return { ...viewOf(row), ...(key === undefined ? {} : { key }) }
}

/** The secret as it is stored, for a token that may see it. Whoever has it can mint past the broker: that is marked first. */
async function secretOf(parts: TenantParts, creation: Call, row: TurnKeyRow): Promise<string | undefined> {
  const { reveals } = authorize(parts, creation.caller, 'turn_keys:write')
  if (!reveals || row.uid === null || row.sealed === null || parts.now() - row.begun_at > SECRET_REPEATED_MS) return
  if (row.revealed === 0) {
    parts.transact(() => {
      parts.sql.exec('UPDATE turn_keys SET revealed = 1 WHERE seq = ?', row.seq)
      record(parts, creation, { target: row.uid ?? '', outcome: 'done' }, 'turn_key.reveal')
    })
  }
  const { id: tenant } = tenantRecord(parts)
  const place = { purpose: 'turn-key-secret', tenant, record: row.uid, version: row.secret_version } as const
  return open(parts.config.rootKeys, place, row.sealed)
}

/** One row of the creation on the audit trail. Inside a transaction. */
export function record(
  parts: TenantParts,
  creation: Call,
  what: { target: string; outcome: 'begun' | 'done' | 'refused' | 'failed' | 'unknown'; code?: string },
  action = 'turn_key.create',
): void {
  const { caller, requestId } = creation
  audit(parts.sql, parts.now(), { actor: actorOf(caller), action, requestId, ...what })
}
