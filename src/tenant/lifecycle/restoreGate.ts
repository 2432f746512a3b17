/**
 * Refuses callers while the tenant's storage is set back: from the order to set it back until the Account has finished the
 * restore. Without it, a tenant that was just set back would answer with names, API tokens and bans as they were then.
 */
import { BrokerError } from '../../errors.ts'
import type { TenantContext } from '../core/context.ts'
import { tenantId } from '../core/tenantRow.ts'

/** The youngest time that a tenant can be set back to. Longer than the gate's `CERTAIN_MS`, also where clocks differ. */
export const YOUNGEST_RESTORE_MS = 60_000
/** Storage in which a caller's event is younger than this was not set back. */
const CERTAIN_MS = 30_000
/** After a question that the Account did not answer, callers pass for this long. */
const ASK_AGAIN_MS = 5_000

export class RestoreGate {
  #leaving = false
  /** The storage is known to be the newest. */
  #isCurrent = false
  #passUntil = 0
  #asking: Promise<void> | undefined

  /** The tenant is about to be set back: from now on no caller is answered. */
  close(): void {
    this.#leaving = true
  }

  /** The storage is known to be the newest: it was just set up, was not set back, or the Account has finished the restore. */
  open(): void {
    this.#leaving = false
    this.#isCurrent = true
  }

  get isClosed(): boolean {
    return this.#leaving
  }

  /**
   * `undefined`: the caller passes at once. Else the first caller of this object's life waits for the Account, 1 s at most. Throws,
   * or rejects with, `broker_busy` while the tenant is being restored. An Account that does not answer refuses no caller.
   */
  pass(ctx: TenantContext): Promise<void> | undefined {
    if (this.#leaving) throw BEING_RESTORED()
    if (this.#isCurrent || ctx.now() < this.#passUntil) return
    if (isCertain(ctx)) {
      this.#isCurrent = true
      return
    }
    this.#asking ??= this.#ask(ctx).finally(() => {
      this.#asking = undefined
    })
    return this.#asking
  }

  async #ask(ctx: TenantContext): Promise<void> {
    const answer = await ctx.account.isBeingRestored(tenantId(ctx))
    if (!answer.ok) this.#passUntil = ctx.now() + ASK_AGAIN_MS
    else if (answer.value && !this.#isCurrent) throw BEING_RESTORED()
    else this.#isCurrent = true
  }
}

/** Reads one row. The broker's own events prove nothing: jobs run, and erasures are repeated, before the gate opens. */
function isCertain({ sql, now }: TenantContext): boolean {
  const [newest] = sql
    .exec<{ at: number; actor: string }>(
      'SELECT at, actor FROM audit_events WHERE seq = (SELECT max(seq) FROM audit_events)',
    )
    .toArray()
  return newest !== undefined && newest.actor !== 'broker' && newest.at > now() - CERTAIN_MS
}

const BEING_RESTORED = () =>
  new BrokerError('broker_busy', { retryAfterSeconds: 2, detail: 'The tenant is being restored.' })
