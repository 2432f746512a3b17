/**
 * The Account: one Durable Object for the account behind the broker. The directory of tenants, who owns which TURN
 * key, the shared budget of API calls. This file is its RPC surface; each method is one operation of a file beside it.
 */
import { DurableObject } from 'cloudflare:workers'
import type { Observed } from '../cloudflare/rateHeaders.ts'
import { turnKeysApi } from '../cloudflare/turnKeys.ts'
import type { IssuerPair } from '../contract/policy/issuers.ts'
import type { AccountView, SweepView } from '../contract/resources/account.ts'
import type { AuditEventView } from '../contract/resources/auditEvents.ts'
import type { ResealView, RootKeyUse } from '../contract/resources/reseal.ts'
import type { RestoredTenant, TenantSummary, TenantView } from '../contract/resources/tenants.ts'
import { parseConfig } from '../env.ts'
import { BrokerError, errorOf, type Result } from '../errors.ts'
import type { Spending } from '../rpc/budget.ts'
import type { Call } from '../rpc/calls.ts'
import type { TenantReport } from '../rpc/tenants.ts'
import { type AuditPage, readAuditTrail } from '../storage/auditTrail.ts'
import { Idempotency } from '../storage/idempotency.ts'
import { Jobs } from '../storage/jobs.ts'
import { migrate } from '../storage/migrations.ts'
import { answering, transaction } from '../storage/object.ts'
import { spend } from './budget/budget.ts'
import { observe } from './budget/upstreamLimits.ts'
import type { AccountContext } from './core/context.ts'
import type { AccountJobKind } from './core/jobKinds.ts'
import { describeAccount } from './describe.ts'
import {
  buryTenant,
  CREATION_JOB,
  createTenant,
  finishCreation,
  isTenant,
  listTenants,
  mirrorTenant,
  type TenantCreation,
} from './directory/directory.ts'
import { claimIssuers } from './directory/issuers.ts'
import { ownerOfTurnKey, releaseTurnKey } from './directory/keyOwners.ts'
import { RESTORE_JOB, type Restoration, restoreTenant, resumeRestore } from './directory/restore.ts'
import { neededRootKeys, noteFront, rootKeysInUse } from './rootKeys/inUse.ts'
import { orderReseal, RESEAL_JOB, type ResealCall, resealJob, resealProgress } from './rootKeys/reseal.ts'
import { MIGRATIONS } from './schema.ts'
import { claimForTenant, UpstreamList } from './turnKeys/ownership.ts'
import { orderSweep, sweep } from './turnKeys/sweep.ts'
import { ensureSweep, SWEEP_JOB } from './turnKeys/sweepRows.ts'

export class Account extends DurableObject<Env> {
  readonly #context: AccountContext | { readonly misconfigured: string }
  readonly #list = new UpstreamList()

  constructor(state: DurableObjectState, env: Env) {
    super(state, env)
    const parsed = parseConfig(env)
    if (!parsed.ok) {
      this.#context = { misconfigured: parsed.variable }
      return
    }
    migrate(state.storage, MIGRATIONS)
    const now = () => Date.now()
    noteFront(state.storage.sql, now(), parsed.config.rootKeys)
    const jobs = new Jobs<AccountJobKind>(state.storage, now)
    const transact = transaction(state.storage, jobs)
    const observed = async (it: Observed) => transact(() => observe(state.storage.sql, now(), it))
    this.#context = {
      deployment: parsed.config.deployment,
      sql: state.storage.sql,
      now,
      jobs,
      idempotency: new Idempotency(state.storage.sql, now),
      turnKeys: turnKeysApi(parsed.config, { fetch: (url, init) => fetch(url, init), now, observe: observed }),
      rootKeys: parsed.config.rootKeys,
      tenant: (id, locationHint) => env.TENANTS.get(env.TENANTS.idFromName(id), locationHint ? { locationHint } : {}),
      transact,
    }
  }

  isTenant(id: string): Promise<Result<boolean>> {
    return this.#answer((ctx) => isTenant(ctx, id))
  }

  listTenants(page: {
    before: number | null
    limit: number
  }): Promise<Result<{ items: TenantSummary[]; next: number | null }>> {
    return this.#answer((ctx) => listTenants(ctx, page))
  }

  createTenant(creation: TenantCreation): Promise<Result<TenantView>> {
    return this.#answer((ctx) => createTenant(ctx, creation))
  }

  restoreTenant(call: Restoration): Promise<Result<RestoredTenant>> {
    return this.#answer((ctx) => restoreTenant(ctx, call))
  }

  mirrorTenant(report: TenantReport): Promise<Result<number>> {
    return this.#answer((ctx) => mirrorTenant(ctx, report))
  }

  /** Makes these the tenant's, or fails with `conflict`. */
  claimIssuers(tenant: string, pairs: readonly IssuerPair[]): Promise<Result<void>> {
    return this.#answer((ctx) =>
      ctx.transact(() => {
        // Its deletion has freed what it had: nothing would free this.
        if (!isTenant(ctx, tenant)) throw new BrokerError('not_found', { detail: 'No such tenant.' })
        claimIssuers(ctx, tenant, pairs)
      }),
    )
  }

  buryTenant(id: string): Promise<Result<void>> {
    return this.#answer((ctx) => buryTenant(ctx, id))
  }

  /** `false`: the uid belongs to another tenant. */
  claimTurnKey(uid: string, tenant: string): Promise<Result<boolean>> {
    return this.#answer((ctx) => claimForTenant(ctx, uid, tenant))
  }

  releaseTurnKey(uid: string, tenant: string): Promise<Result<void>> {
    return this.#answer((ctx) => ctx.transact(() => releaseTurnKey(ctx.sql, uid, tenant)))
  }

  /** The tenant that owns a TURN key; `null`: none here does. */
  turnKeyOwner(uid: string): Promise<Result<string | null>> {
    return this.#answer((ctx) => ownerOfTurnKey(ctx.sql, uid))
  }

  /** Takes one API call out of the budget, or fails with a time to wait: `rate_limited`, `upstream_unavailable`. */
  spend(spending: Spending): Promise<Result<void>> {
    return this.#answer((ctx) => {
      const refused = ctx.transact(() => {
        const failure = spend(ctx.sql, ctx.now(), spending)
        if (!failure) ensureSweep(ctx)
        return failure
      })
      if (refused) throw errorOf(refused)
    })
  }

  /** What an answer of Cloudflare's said of the limits that all calls share. */
  observe(observed: Observed): Promise<Result<void>> {
    return this.#answer((ctx) => ctx.transact(() => observe(ctx.sql, ctx.now(), observed)))
  }

  describe(): Promise<Result<AccountView>> {
    return this.#answer(describeAccount)
  }

  orderSweep(call: Call): Promise<Result<SweepView>> {
    return this.#answer((ctx) => orderSweep(ctx, call))
  }

  listAuditEvents(page: AuditPage): Promise<Result<{ items: AuditEventView[]; next: number | null }>> {
    return this.#answer((ctx) => readAuditTrail(ctx.sql, page))
  }

  /** Uids of upstream's keys that carry a creation's marker, as listed after `since`. */
  markedTurnKeys(marker: string, since: number): Promise<Result<string[]>> {
    return this.#answer((ctx) => this.#list.marked(ctx, marker, since))
  }

  /** Orders that every tenant's secrets move to the root key in front. */
  orderReseal(call: ResealCall): Promise<Result<ResealView>> {
    return this.#answer((ctx) => orderReseal(ctx, call))
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
    const ctx = this.#context
    if ('misconfigured' in ctx) return
    await ctx.jobs.run({
      [CREATION_JOB]: async ({ key }) => {
        await finishCreation(ctx, key)
        return 'done'
      },
      [RESTORE_JOB]: async ({ key }) => {
        await resumeRestore(ctx, key)
        return 'done'
      },
      [SWEEP_JOB]: () => sweep(ctx, this.#list),
      [RESEAL_JOB]: (job) => resealJob(ctx, job),
    })
  }

  #answer<T>(operation: (ctx: AccountContext) => T | Promise<T>): Promise<Result<T>> {
    return answering(this.#context, (ctx) => {
      ctx.jobs.arm()
      return operation(ctx)
    })
  }
}
