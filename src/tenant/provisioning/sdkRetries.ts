/**
 * The table `attempts`: retries that a client makes by itself, without an `Idempotency-Key`. The official SDK numbers its
 * attempts in `X-Stainless-Retry-Count`. Attempt n counts as a retry of one attempt n - 1 with the same token and body whose
 * caller got no answer, or an error less than a minute ago. Each attempt is matched once, so that two equal requests of a
 * caller stay two.
 */
import { actorOf } from '../../auth/caller.ts'
import { BrokerError, errorOf, type Failure, storable } from '../../errors.ts'
import type { Call } from '../../rpc/calls.ts'
import type { SdkRetry } from '../../rpc/turnKeys.ts'
import type { TenantContext } from '../core/context.ts'

/** The SDK waits a minute for an answer, then at most eight seconds. */
const UNANSWERED_FOR_MS = 180_000
const FAILED_FOR_MS = 60_000

export interface AttemptFacts {
  readonly begunAt: number
  /** `null`: no client is known to have received the answer. */
  readonly answeredAt: number | null
  readonly failed: boolean
  readonly matched: boolean
}

/** The attempt that attempt n repeats. `earlier`: attempts n - 1 of the same token and body, oldest first. */
export const matchAttempt = <A extends AttemptFacts>(earlier: readonly A[], now: number): A | undefined =>
  earlier.find(({ begunAt, answeredAt, failed, matched }) => {
    if (matched) return false
    return answeredAt === null ? now - begunAt < UNANSWERED_FOR_MS : failed && now - answeredAt < FAILED_FOR_MS
  })

interface Row extends Record<string, SqlStorageValue> {
  seq: number
  request_id: string
  intent: string
  begun_at: number
  answered_at: number | null
  failure: string | null
  matched: number
}

export interface RetriedOperation<T> {
  readonly route: string
  readonly intent: string
  /** Throws a refusal that is known without awaiting anything: such a request leaves no row. */
  readonly admit: () => void
  /** Runs the operation for the first time. */
  readonly first: (intent: string) => Promise<T>
  /** Answers for an earlier attempt with this intent. */
  readonly replay: (intent: string) => Promise<T>
}

/** Runs the operation, or, if it is the SDK's retry of one still running, waits and answers as that one does. */
export async function dedupeSdkRetry<T>(
  ctx: TenantContext,
  { requestId, caller, attempt }: Call & { readonly attempt: SdkRetry },
  operation: RetriedOperation<T>,
): Promise<T> {
  const asked = { route: operation.route, caller: actorOf(caller), requestId, attempt }
  const earlier = find(ctx, asked)
  if (!earlier) operation.admit()
  noteAttempt(ctx, asked, earlier, operation.intent)
  const work = earlier ? retry(ctx, requestId, earlier, operation) : operation.first(operation.intent)
  ctx.memory.sdkRetries.set(requestId, work)
  try {
    return await work
  } catch (error) {
    if (error instanceof BrokerError) noteAnswered(ctx, requestId, error.failure)
    throw error
  } finally {
    ctx.memory.sdkRetries.delete(requestId)
  }
}

async function retry<T>(
  ctx: TenantContext,
  requestId: string,
  earlier: Row,
  operation: RetriedOperation<T>,
): Promise<T> {
  await ctx.memory.sdkRetries.get(earlier.request_id)?.catch(() => undefined)
  // Read again: the attempt it waited for may have started a new intent, or failed.
  const [current = earlier] = ctx.sql.exec<Row>('SELECT * FROM attempts WHERE seq = ?', earlier.seq).toArray()
  const failure = current.failure === null ? undefined : (JSON.parse(current.failure) as Failure) // written by noteAnswered
  if (failure && !failure.doNotRepeat) {
    const { intent } = operation
    ctx.transact(() => ctx.sql.exec('UPDATE attempts SET intent = ? WHERE request_id = ?', intent, requestId))
    return operation.first(intent)
  }
  if (failure && failure.code !== 'outcome_unknown') throw errorOf(failure)
  return operation.replay(current.intent)
}

/** The answer was handed to the client. Only the Worker knows that, and reports it here. */
export function noteAnswered(ctx: TenantContext, requestId: string, failure?: Failure): void {
  try {
    ctx.transact(() =>
      ctx.sql.exec(
        'UPDATE attempts SET answered_at = ?, failure = ? WHERE request_id = ?',
        ctx.now(),
        failure ? JSON.stringify(storable(failure)) : null,
        requestId,
      ),
    )
  } catch {
    // Storage refuses the write: the attempt counts as unanswered.
  }
}

interface Asked {
  readonly route: string
  readonly caller: string
  readonly requestId: string
  readonly attempt: SdkRetry
}

function find(ctx: TenantContext, { route, caller, attempt }: Asked): Row | undefined {
  const now = ctx.now()
  const rows = ctx.sql
    .exec<Row>(
      `SELECT * FROM attempts WHERE begun_at > ? AND route = ? AND caller = ? AND body_hash = ? AND count = ?
       ORDER BY begun_at, seq`,
      now - UNANSWERED_FOR_MS,
      route,
      caller,
      attempt.bodyHash,
      attempt.count - 1,
    )
    .toArray()
  const facts = rows.map((row) => ({
    row,
    begunAt: row.begun_at,
    answeredAt: row.answered_at,
    failed: row.failure !== null,
    matched: row.matched === 1,
  }))
  return matchAttempt(facts, now)?.row
}

/** Stores the attempt, and deletes those that are too old to be matched, so that the table stays bounded. */
function noteAttempt(ctx: TenantContext, asked: Asked, earlier: Row | undefined, intent: string): void {
  const { route, caller, requestId, attempt } = asked
  const now = ctx.now()
  ctx.transact(() => {
    ctx.sql.exec('DELETE FROM attempts WHERE begun_at <= ?', now - UNANSWERED_FOR_MS)
    if (earlier) ctx.sql.exec('UPDATE attempts SET matched = 1 WHERE seq = ?', earlier.seq)
    ctx.sql.exec(
      'INSERT INTO attempts (request_id, route, caller, body_hash, count, intent, begun_at) VALUES (?, ?, ?, ?, ?, ?, ?)',
      requestId,
      route,
      caller,
      attempt.bodyHash,
      attempt.count,
      earlier?.intent ?? intent,
      now,
    )
  })
}
