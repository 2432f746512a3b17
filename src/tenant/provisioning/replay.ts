/** How a creation is answered: the first time, to a repeat with the same `Idempotency-Key`, and to the SDK's own retry. */
import { actorOf } from '../../auth/caller.ts'
import type { AuditAction } from '../../contract/resources/auditEvents.ts'
import type { CreatedTurnKey } from '../../contract/resources/turnKeys.ts'
import { BrokerError, errorOf, type Failure } from '../../errors.ts'
import type { Call } from '../../rpc/calls.ts'
import { audit } from '../../storage/audit.ts'
import type { EarlierRequest } from '../../storage/idempotency.ts'
import { authorize } from '../core/authorization.ts'
import type { TenantContext } from '../core/context.ts'
import { keyByIntent, type TurnKeyRow, turnKeyView } from '../turnKeys/rows.ts'
import { openSecret } from '../turnKeys/secret.ts'
import { isVisible } from '../turnKeys/states.ts'
import { markRevealed } from '../turnKeys/writes.ts'
import { transition } from './apply.ts'
import { IN_DOUBT, SETTLED } from './machine/vocabulary.ts'

/** For this long a repeat with the same `Idempotency-Key` gets the secret again. */
const SECRET_REPEATED_MS = 600_000

/** A repeat with the same `Idempotency-Key`: the answer of the first request, or its failure. */
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
  return answerCreation(ctx, creation, earlier.target)
}

/** The SDK's own retry, without an `Idempotency-Key`: its first attempt has ended, or died with its object. */
export function replayAttempt(ctx: TenantContext, creation: Call, intent: string): Promise<CreatedTurnKey> {
  const row = keyByIntent(ctx.sql, intent)
  refuseDoubtful(ctx, creation, row)
  if (row?.state === 'failed') throw errorOf(SETTLED)
  return answerCreation(ctx, creation, intent)
}

/** A row that is still `creating` while no request of this object works on it was left behind by a crash. */
function refuseDoubtful(ctx: TenantContext, creation: Call, row: TurnKeyRow | undefined): void {
  const failure = row?.state === 'creating' ? transition(ctx, row, { kind: 'doubted' }, creation).failure : undefined
  if (failure || row?.state === 'unknown') throw errorOf(failure ?? IN_DOUBT)
}

export async function answerCreation(ctx: TenantContext, creation: Call, intent: string): Promise<CreatedTurnKey> {
  const row = keyByIntent(ctx.sql, intent)
  if (!row || !isVisible(row.state)) {
    throw new BrokerError('conflict', { doNotRepeat: true, detail: 'The TURN key of this creation was deleted since.' })
  }
  const key = await secretOf(ctx, creation, row)
  return { ...turnKeyView(row), ...(key === undefined ? {} : { key }) }
}

/** The secret, for a token that may see it. Its holder can mint past the broker, so the row is marked first. */
async function secretOf(ctx: TenantContext, creation: Call, row: TurnKeyRow): Promise<string | undefined> {
  const { reveals } = authorize(ctx, creation.caller, 'turn_keys:write')
  if (!reveals || row.uid === null || row.sealed === null || ctx.now() - row.begun_at > SECRET_REPEATED_MS) return
  if (row.revealed === 0) {
    ctx.transact(() => {
      markRevealed(ctx.sql, row)
      auditKey(ctx, creation, { target: row.uid ?? '', outcome: 'done' }, 'turn_key.reveal')
    })
  }
  return openSecret(ctx, { ...row, uid: row.uid })
}

/** After the key exists, or while its job continues: any failure says that the client must not repeat the request. */
export async function withoutRepeat<T>(answer: () => Promise<T>): Promise<T> {
  try {
    return await answer()
  } catch (error) {
    const failure: Failure = error instanceof BrokerError ? error.failure : { code: 'internal' }
    throw errorOf({ ...failure, doNotRepeat: true })
  }
}

/** One row on the audit trail for a step of a creation. Inside a transaction. */
export function auditKey(
  ctx: TenantContext,
  creation: Call,
  what: { target: string; outcome: 'begun' | 'done' | 'refused' | 'failed' | 'unknown'; code?: string },
  action: AuditAction = 'turn_key.create',
): void {
  const { caller, requestId } = creation
  audit(ctx.sql, ctx.now(), { actor: actorOf(caller), action, requestId, ...what })
}
