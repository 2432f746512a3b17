/**
 * The Account: one Durable Object for the account behind the broker. The directory of tenants, who owns which TURN
 * key, the shared budget of API calls. This file is its RPC surface; each method is one operation of a file beside it.
 */
import { DurableObject } from 'cloudflare:workers'
import { turnKeysApi } from '../cloudflare/turnKeys.ts'
import type { IssuerPair } from '../contract/issuers.ts'
import type { ResealView, RootKeyUse } from '../contract/reseal.ts'
import type { TenantSummary, TenantView } from '../contract/tenants.ts'
import { parseConfig } from '../env.ts'
import { BrokerError, MAX_RETRY_AFTER_SECONDS, type Result } from '../errors.ts'
import { Idempotency } from '../storage/idempotency.ts'
import { Jobs } from '../storage/jobs.ts'
import { migrate } from '../storage/migrations.ts'
import { answering, transaction } from '../storage/object.ts'
import { type Spending, spend } from './budget.ts'
import {
  buryTenant,
  CREATION_JOB,
  createTenant,
  finishCreation,
  isTenant,
  listTenants,
  mirrorTenant,
  type TenantCreation,
} from './directory.ts'
import { claimIssuers } from './issuers.ts'
import type { AccountParts } from './parts.ts'
import { orderReseal, RESEAL_JOB, type ResealCall, resealJob, resealProgress } from './resealing.ts'
import { neededRootKeys, noteFront, rootKeysInUse } from './rootKeys.ts'
import { MIGRATIONS } from './schema.ts'
import { claimTurnKey, ownerOfTurnKey, UpstreamList } from './turnKeys.ts'

export class Account extends DurableObject<Env> {
  readonly #parts: AccountParts | { readonly misconfigured: string }
  readonly #list = new UpstreamList()

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env)
    const parsed = parseConfig(env)
    if (!parsed.ok) {
      this.#parts = { misconfigured: parsed.variable }
      return
    }
    migrate(ctx.storage, MIGRATIONS)
    const now = () => Date.now()
    noteFront(ctx.storage.sql, now(), parsed.config.rootKeys)
    const jobs = new Jobs(ctx.storage, now)
    this.#parts = {
      sql: ctx.storage.sql,
      now,
      jobs,
      idempotency: new Idempotency(ctx.storage.sql, now),
      turnKeys: turnKeysApi(parsed.config, { fetch: (url, init) => fetch(url, init), now }),
      rootKeys: parsed.config.rootKeys,
      tenants: env.TENANTS,
      transact: transaction(ctx.storage, jobs),
    }
  }

  isTenant(id: string): Promise<Result<boolean>> {
    return this.#answer((parts) => isTenant(parts, id))
  }

  listTenants(page: {
    before: number | null
    limit: number
  }): Promise<Result<{ items: TenantSummary[]; next: number | null }>> {
    return this.#answer((parts) => listTenants(parts, page))
  }

  createTenant(creation: TenantCreation): Promise<Result<TenantView>> {
    return this.#answer((parts) => createTenant(parts, creation))
  }

  mirrorTenant(report: Parameters<typeof mirrorTenant>[1]): Promise<Result<void>> {
    return this.#answer((parts) => mirrorTenant(parts, report))
  }

  /** Makes these the tenant's, or fails with `conflict`. */
  claimIssuers(tenant: string, pairs: readonly IssuerPair[]): Promise<Result<void>> {
    return this.#answer((parts) =>
      parts.transact(() => {
        // Its deletion has freed what it had: nothing would free this.
        if (!isTenant(parts, tenant)) throw new BrokerError('not_found', { detail: 'No such tenant.' })
        claimIssuers(parts, tenant, pairs)
      }),
    )
  }

  buryTenant(id: string): Promise<Result<void>> {
    return this.#answer((parts) => buryTenant(parts, id))
  }

  /** `false`: the uid belongs to another tenant. */
  claimTurnKey(uid: string, tenant: string): Promise<Result<boolean>> {
    return this.#answer((parts) => claimTurnKey(parts, uid, tenant))
  }

  /** The tenant that owns a TURN key; `null`: none here does. */
  turnKeyOwner(uid: string): Promise<Result<string | null>> {
    return this.#answer((parts) => ownerOfTurnKey(parts, uid))
  }

  /** Takes one API call out of the budget, or fails with `rate_limited` and a time to wait. */
  spend(spending: Spending): Promise<Result<void>> {
    return this.#answer((parts) => {
      const wait = parts.transact(() => spend(parts.sql, parts.now(), spending))
      if (wait === undefined) return
      throw new BrokerError('rate_limited', {
        retryAfterSeconds: Math.min(wait, MAX_RETRY_AFTER_SECONDS),
        detail: 'The budget of Cloudflare API calls is spent for now.',
      })
    })
  }

  /** Uids of upstream's keys that carry a creation's marker, as listed after `since`. */
  markedTurnKeys(marker: string, since: number): Promise<Result<string[]>> {
    return this.#answer((parts) => this.#list.marked(parts, marker, since))
  }

  /** Orders that every tenant's secrets move to the root key in front. */
  orderReseal(call: ResealCall): Promise<Result<ResealView>> {
    return this.#answer((parts) => orderReseal(parts, call))
  }

  resealProgress(): Promise<Result<ResealView>> {
    return this.#answer(resealProgress)
  }

  /** Root keys that are configured or needed, with who needs them. */
  rootKeysInUse(): Promise<Result<RootKeyUse[]>> {
    return this.#answer(rootKeysInUse)
  }

  /** Ids only, cheaply: without one of these something cannot be opened. */
  neededRootKeys(): Promise<Result<string[]>> {
    return this.#answer(neededRootKeys)
  }

  override async alarm(): Promise<void> {
    const parts = this.#parts
    if ('misconfigured' in parts) return
    await parts.jobs.run({
      [CREATION_JOB]: async ({ key }) => {
        await finishCreation(parts, key)
        return 'done'
      },
      [RESEAL_JOB]: (job) => resealJob(parts, job),
    })
  }

  #answer<T>(operation: (parts: AccountParts) => T | Promise<T>): Promise<Result<T>> {
    return answering(this.#parts, (parts) => {
      parts.jobs.arm()
      return operation(parts)
    })
  }
}
