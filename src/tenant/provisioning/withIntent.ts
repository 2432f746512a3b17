/**
 * The crash protocol of a creation and of a rotation. Cloudflare shows a key's secret once, knows no idempotency key and
 * accepts duplicate names, so the broker must know of a key before it exists:
 *
 * 1. Admit: refuse what can be refused, or answer for an earlier request with the same `Idempotency-Key`.
 * 2. Take one call out of the budget. The intent goes with it, so that the Account knows whose key a marker names.
 * 3. In one transaction: admit again, because the budget was asked across an await; store the intent and its job.
 * 4. Wait until that is durable. Only then Cloudflare is asked, once.
 * 5. Make the key. A crash or an unclear answer leaves the intent to its job, which looks for the key and deletes it.
 */
import type { Caller } from '../../auth/caller.ts'
import { errorOf, type Failure } from '../../errors.ts'
import type { EarlierRequest } from '../../storage/idempotency.ts'
import { purposeOf, spendCall } from '../core/apiCalls.ts'
import type { TenantContext } from '../core/context.ts'

interface Steps<T> {
  readonly caller: Caller
  readonly intent: string
  /** Throws a refusal, or gives the earlier request with the same `Idempotency-Key`. Awaits nothing. */
  readonly admit: () => EarlierRequest | undefined
  /** Inside the transaction: the intent's row, its job, its audit row. */
  readonly store: () => undefined
  readonly make: () => Promise<Failure | undefined>
  readonly replay: (earlier: EarlierRequest) => Promise<T>
  readonly answer: () => Promise<T>
}

export async function withIntent<T>(ctx: TenantContext, steps: Steps<T>): Promise<T> {
  const { caller, intent, admit, store, make, replay, answer } = steps
  const earlier = admit()
  if (earlier) return replay(earlier)
  await spendCall(ctx, purposeOf(caller), intent)
  const meanwhile = ctx.transact(() => admit() ?? store())
  if (meanwhile) return replay(meanwhile)
  ctx.memory.creations.add(intent)
  try {
    await ctx.storage.sync()
    const failure = await make()
    if (failure) throw errorOf(failure)
  } finally {
    ctx.memory.creations.delete(intent)
  }
  return answer()
}
