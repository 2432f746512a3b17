/** What a creation is, and how it is answered: the first time, and to a repeat with the same `Idempotency-Key`. */
import { actorOf } from '../../auth/caller.ts'
import type { CreatedTurnKey } from '../../contract/resources/turnKeys.ts'
import { open } from '../../crypto/seal.ts'
import { BrokerError, errorOf, type Failure } from '../../errors.ts'
import type { Call } from '../../rpc/calls.ts'
import { audit } from '../../storage/audit.ts'
import type { EarlierRequest } from '../../storage/idempotency.ts'
import { authorize } from '../core/authorization.ts'
import type { TenantContext } from '../core/context.ts'
import { tenantRecord } from '../core/tenantRow.ts'
import { keyByIntent, type TurnKeyRow, turnKeyView } from '../turnKeys/rows.ts'
import { isVisible } from '../turnKeys/states.ts'
import { transition } from './apply.ts'
import { IN_DOUBT, SETTLED } from './machine/vocabulary.ts'

/** A repeat with the same `Idempotency-Key` is given the secret again for this long. */
const SECRET_REPEATED_MS = 600_000

/** A repeat with the same `Idempotency-Key`: what became of the first request. */
export async function replayCreation(
  ctx: TenantContext,
  creation: Call,
  earlier: EarlierRequest,
): Promise<CreatedTurnKey> {
  const row = keyByIntent(ctx.sql, earlier.target)
  if (row?.state === 'creating' && ctx.memory.creations.has(row.intent))
    throw new BrokerError('idempotency_in_progress', { retryAfterSeconds: 2 })
  refuseDoubtful(ctx, creation, row)
  if (earlier.answer !== null) throw errorOf(JSON.parse(earlier.answer) as Failure) // stored by `finish`, failures only
  return answer(ctx, creation, earlier.target)
}

/** A repeat of the client's own, without a key: the first attempt is over, or its object is. */
export function replayAttempt(ctx: TenantContext, creation: Call, intent: string): Promise<CreatedTurnKey> {
  const row = keyByIntent(ctx.sql, intent)
  refuseDoubtful(ctx, creation, row)
  if (row?.state === 'failed') throw errorOf(SETTLED)
  return answer(ctx, creation, intent)
}

/** One that is still being created when nobody here is at it was left behind by an object that died. */
function refuseDoubtful(ctx: TenantContext, creation: Call, row: TurnKeyRow | undefined): void {
  const failure = row?.state === 'creating' ? transition(ctx, row, { kind: 'doubted' }, creation).failure : undefined
  if (failure || row?.state === 'unknown') throw errorOf(failure ?? IN_DOUBT)
}

export async function answer(ctx: TenantContext, creation: Call, intent: string): Promise<CreatedTurnKey> {
  const row = keyByIntent(ctx.sql, intent)
  if (!row || !isVisible(row.state)) {
    throw new BrokerError('conflict', { doNotRepeat: true, detail: 'The TURN key of this creation was deleted since.' })
  }
  const key = await secretOf(ctx, creation, row)
  return { ...turnKeyView(row), ...(key === undefined ? {} : { key }) }
}

/** The secret as it is stored, for a token that may see it. Whoever has it can mint past the broker: that is marked first. */
async function secretOf(ctx: TenantContext, creation: Call, row: TurnKeyRow): Promise<string | undefined> {
  const { reveals } = authorize(ctx, creation.caller, 'turn_keys:write')
  if (!reveals || row.uid === null || row.sealed === null || ctx.now() - row.begun_at > SECRET_REPEATED_MS) return
  if (row.revealed === 0) {
    ctx.transact(() => {
      ctx.sql.exec('UPDATE turn_keys SET revealed = 1 WHERE seq = ?', row.seq)
      record(ctx, creation, { target: row.uid ?? '', outcome: 'done' }, 'turn_key.reveal')
    })
  }
  const { id: tenant } = tenantRecord(ctx)
  const place = { purpose: 'turn-key-secret', tenant, record: row.uid, version: row.secret_version } as const
  return open(ctx.config.rootKeys, place, row.sealed)
}

/** One row of the creation on the audit trail. Inside a transaction. */
export function record(
  ctx: TenantContext,
  creation: Call,
  what: { target: string; outcome: 'begun' | 'done' | 'refused' | 'failed' | 'unknown'; code?: string },
  action = 'turn_key.create',
): void {
  const { caller, requestId } = creation
  audit(ctx.sql, ctx.now(), { actor: actorOf(caller), action, requestId, ...what })
}
