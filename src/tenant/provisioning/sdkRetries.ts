/**
 * Repeats that a client makes by itself, without an `Idempotency-Key`: the official SDK numbers its attempts in
 * `X-Stainless-Retry-Count`. Attempt n is taken for a repeat of one attempt n - 1 of the same token and body that was not
 * answered, or was with an error a moment ago; each is repeated once. So two equal wishes stay two.
 */
import { actorOf } from '../../auth/caller.ts'
import { BrokerError, errorOf, type Failure } from '../../errors.ts'
import type { Call } from '../../rpc/calls.ts'
import type { SdkRetry } from '../../rpc/turnKeys.ts'
import type { TenantContext } from '../core/context.ts'

/** The SDK waits a minute for an answer, then at most eight seconds. */
const UNANSWERED_FOR_MS = 180_000
const FAILED_FOR_MS = 60_000

export interface AttemptFacts {
  readonly begunAt: number
  /** `null`: nobody is known to have had the answer. */
  readonly answeredAt: number | null
  readonly failed: boolean
  readonly matched: boolean
}

/** Of attempts n - 1 of the same token and body, oldest first: the one that attempt n repeats. */
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

export interface Attempted<T> {
  readonly route: string
  readonly intent: string
  /** Throws what refuses the request here and now: a refusal leaves no row. */
  readonly admit: () => void
  /** Does it, for the first time. */
  readonly anew: (intent: string) => Promise<T>
  /** Tells what became of it. */
  readonly again: (intent: string) => Promise<T>
}

/** Does what is asked, unless it is the repeat of an attempt: then waits for that one and answers as it does. */
export async function dedupeSdkRetry<T>(
  ctx: TenantContext,
  { requestId, caller, attempt }: Call & { readonly attempt: SdkRetry },
  how: Attempted<T>,
): Promise<T> {
  const asked = { route: how.route, caller: actorOf(caller), requestId, attempt }
  const earlier = find(ctx, asked)
  if (!earlier) how.admit()
  begin(ctx, asked, earlier, how.intent)
  const work = earlier ? repeat(ctx, requestId, earlier, how) : how.anew(how.intent)
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

async function repeat<T>(ctx: TenantContext, requestId: string, earlier: Row, how: Attempted<T>): Promise<T> {
  await ctx.memory.sdkRetries.get(earlier.request_id)?.catch(() => undefined)
  // Read again: what it waited for may have begun anew, or failed.
  const [now = earlier] = ctx.sql.exec<Row>('SELECT * FROM attempts WHERE seq = ?', earlier.seq).toArray()
  const failure = now.failure === null ? undefined : (JSON.parse(now.failure) as Failure) // written by noteAnswered
  if (failure && !failure.doNotRepeat) {
    const { intent } = how
    ctx.transact(() => ctx.sql.exec('UPDATE attempts SET intent = ? WHERE request_id = ?', intent, requestId))
    return how.anew(intent)
  }
  if (failure && failure.code !== 'outcome_unknown') throw errorOf(failure)
  return how.again(now.intent)
}

/** The answer has reached somebody; told by the Worker, which alone can know. */
export function noteAnswered(ctx: TenantContext, requestId: string, failure?: Failure): void {
  try {
    ctx.transact(() =>
      ctx.sql.exec(
        'UPDATE attempts SET answered_at = ?, failure = ? WHERE request_id = ?',
        ctx.now(),
        failure ? JSON.stringify(failure) : null,
        requestId,
      ),
    )
  } catch {
    // Storage takes nothing: the attempt counts as unanswered.
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
      `SELECT * FROM attempts WHERE begun_at > ? AND route = ? AND caller = ? AND body_hash = ? AND count = ? ORDER BY seq`,
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

/** Also forgets what is past its time, so that the table stays bounded. */
function begin(ctx: TenantContext, asked: Asked, earlier: Row | undefined, intent: string): void {
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
