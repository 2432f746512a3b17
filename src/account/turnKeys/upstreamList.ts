/** The list of the keys that Cloudflare holds, cached and shared by everything in the Account that needs it. */
import type { ListedKey } from '../../cloudflare/turnKeys.ts'
import { SingleFlight } from '../../concurrency/singleFlight.ts'
import { BrokerError, MAX_RETRY_AFTER_SECONDS } from '../../errors.ts'
import { spend } from '../budget/budget.ts'
import { countKeys } from '../budget/upstreamLimits.ts'
import type { AccountContext } from '../core/context.ts'

const LIST_REMEMBERED_MS = 30_000
const LIST_DEADLINE_MS = 8_000

/** Upstream's keys, and when the list was requested. */
export interface Listed {
  readonly keys: readonly ListedKey[]
  readonly requestedAt: number
}

/** Cache of upstream's list: requested at most once in 30 s, single-flight for parallel callers. */
export class UpstreamList {
  #cached: Listed | undefined
  readonly #fetching = new SingleFlight<Listed>()

  /** Uids of the keys with this marker, from a list requested after `since`. */
  async marked(ctx: AccountContext, marker: string, since: number): Promise<string[]> {
    const { keys } = await this.all(ctx, since)
    return keys.filter((key) => key.name === marker || key.name.startsWith(`${marker} `)).map((key) => key.uid)
  }

  /** A list requested after `since` and at most 30 s ago. Throws `upstream_unavailable` or `upstream_failed`. */
  async all(ctx: AccountContext, since = 0): Promise<Listed> {
    const cached = this.#cached
    if (cached && cached.requestedAt > Math.max(since, ctx.now() - LIST_REMEMBERED_MS)) return cached
    return this.#fetching.share('', () => this.#fetch(ctx))
  }

  async #fetch(ctx: AccountContext): Promise<Listed> {
    const requestedAt = ctx.now()
    const refused = ctx.transact(() => spend(ctx.sql, requestedAt, { tenant: '', limit: 0, purpose: 'recovery' }))
    if (refused) {
      throw new BrokerError('upstream_unavailable', { retryAfterSeconds: MAX_RETRY_AFTER_SECONDS })
    }
    const reply = await ctx.turnKeys.list(LIST_DEADLINE_MS)
    if (reply.kind !== 'ok') throw new BrokerError('upstream_failed')
    this.#cached = { keys: reply.value, requestedAt }
    ctx.transact(() => countKeys(ctx.sql, reply.value.length, requestedAt))
    return this.#cached
  }
}
