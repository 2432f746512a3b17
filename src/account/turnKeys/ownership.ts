/** Claiming TURN keys for tenants, and the shared list of the keys that Cloudflare holds. */
import type { ListedKey } from '../../cloudflare/turnKeys.ts'
import { SingleFlight } from '../../concurrency/singleFlight.ts'
import { BrokerError, MAX_RETRY_AFTER_SECONDS } from '../../errors.ts'
import { spend } from '../budget/budget.ts'
import { countKeys } from '../budget/upstreamLimits.ts'
import type { AccountContext } from '../core/context.ts'
import { claimTurnKey } from '../directory/keyOwners.ts'
import { ensureSweep } from './sweepRows.ts'

const LIST_REMEMBERED_MS = 30_000
const LIST_DEADLINE_MS = 8_000

/** Records the owner of a uid, and makes sure that a sweep comes. `false`: another tenant owns it. */
export const claimForTenant = (ctx: AccountContext, uid: string, tenant: string): boolean =>
  ctx.transact(() => {
    ensureSweep(ctx)
    return claimTurnKey(ctx.sql, { uid, tenant, now: ctx.now() })
  })

/** Upstream's keys as listed, and when they were asked for. */
export interface Listed {
  readonly keys: readonly ListedKey[]
  readonly askedAt: number
}

/** Upstream's keys, asked at most once in 30 s however many want to know. */
export class UpstreamList {
  #known: Listed | undefined
  readonly #asking = new SingleFlight<Listed>()

  /** Keys whose name carries the marker, as a list asked for after `since` shows them. */
  async marked(ctx: AccountContext, marker: string, since: number): Promise<string[]> {
    const { keys } = await this.all(ctx, since)
    return keys.filter((key) => key.name === marker || key.name.startsWith(`${marker} `)).map((key) => key.uid)
  }

  /** As listed after `since`, and at most 30 s ago. */
  async all(ctx: AccountContext, since = 0): Promise<Listed> {
    const known = this.#known
    if (known && known.askedAt > Math.max(since, ctx.now() - LIST_REMEMBERED_MS)) return known
    return this.#asking.share('', () => this.#ask(ctx))
  }

  async #ask(ctx: AccountContext): Promise<Listed> {
    const askedAt = ctx.now()
    const refused = ctx.transact(() => spend(ctx.sql, askedAt, { tenant: '', limit: 0, purpose: 'recovery' }))
    if (refused) {
      throw new BrokerError('upstream_unavailable', { retryAfterSeconds: MAX_RETRY_AFTER_SECONDS })
    }
    const reply = await ctx.turnKeys.list(LIST_DEADLINE_MS)
    if (reply.kind !== 'ok') throw new BrokerError('upstream_failed')
    this.#known = { keys: reply.value, askedAt }
    ctx.transact(() => countKeys(ctx.sql, reply.value.length, askedAt))
    return this.#known
  }
}
