/**
 * The Account: the one Durable Object for the Cloudflare account. It has the directory of tenants, the owner of each
 * TURN key and issuer, and the budget of API calls. This file is its RPC surface: each method calls one operation.
 */
import { DurableObject } from 'cloudflare:workers'
import { withBulkhead } from '../cloudflare/guardedTurnKeys.ts'
import type { Observed } from '../cloudflare/rateHeaders.ts'
import { turnKeysApi } from '../cloudflare/turnKeys.ts'
import type { IssuerShare } from '../contract/policy/issuers.ts'
import type { AccountView, SweepView } from '../contract/resources/account.ts'
import type { AuditEventView } from '../contract/resources/auditEvents.ts'
import type { ResealView, RootKeyUse } from '../contract/resources/reseal.ts'
import type { RestoredTenant, TenantSummary, TenantView } from '../contract/resources/tenants.ts'
import type { TokenCheckView } from '../contract/resources/tokenCheck.ts'
import type { SealedCheckKey } from '../crypto/checkKeys.ts'
import { parseConfig } from '../env.ts'
import { BrokerError, errorOf, type Result } from '../errors.ts'
import type { Spending } from '../rpc/budget.ts'
import type { Call } from '../rpc/calls.ts'
import type { Erasure } from '../rpc/restore.ts'
import type { TenantReport } from '../rpc/tenants.ts'
import { type AuditPage, readAuditTrail } from '../storage/auditTrail.ts'
import { Idempotency } from '../storage/idempotency.ts'
import { Jobs } from '../storage/jobs.ts'
import { migrate } from '../storage/migrations.ts'
import { answering, postponeAlarm, transaction } from '../storage/object.ts'
import { giveBack, spend } from './budget/budget.ts'
import { observe } from './budget/upstreamLimits.ts'
import { newListConnection } from './core/connections.ts'
import type { AccountContext } from './core/context.ts'
import type { AccountJobKind } from './core/jobKinds.ts'
import { describeAccount } from './describe.ts'
import {
  createTenant,
  isTenant,
  listTenants,
  markTenantDeleted,
  recordTenantReport,
  type TenantCreation,
} from './directory/directory.ts'
import { recordErasures } from './directory/erasures.ts'
import { claimIssuers } from './directory/issuers.ts'
import { claimTurnKey, ownerOfTurnKey, releaseTurnKey } from './directory/keyOwners.ts'
import { isBeingRestored, type Restoration, restoreTenant } from './directory/restore.ts'
import { accountJobs } from './jobs.ts'
import { beginPruning } from './pruning.ts'
import { neededRootKeys, recordCurrentRootKey, rootKeysInUse } from './rootKeys/inUse.ts'
import { orderReseal, type ResealCall, resealProgress } from './rootKeys/reseal.ts'
import { MIGRATIONS } from './schema.ts'
import { TokenCheck } from './tokenCheck/tokenCheck.ts'
import { orderSweep } from './turnKeys/sweep.ts'
import { scheduleSweep } from './turnKeys/sweepRows.ts'
import { UpstreamList } from './turnKeys/upstreamList.ts'

export class Account extends DurableObject<Env> {
  readonly #context: AccountContext | { readonly misconfigured: string }
  readonly #list = new UpstreamList()
  readonly #tokenCheck: TokenCheck

  constructor(state: DurableObjectState, env: Env) {
    super(state, env)
    this.#tokenCheck = new TokenCheck(env.CACHE)
    const parsed = parseConfig(env)
    if (!parsed.ok) {
      this.#context = { misconfigured: parsed.variable }
      return
    }
    migrate(state.storage, MIGRATIONS)
    const now = () => Date.now()
    recordCurrentRootKey(state.storage.sql, now(), parsed.config.rootKeys)
    const jobs = new Jobs<AccountJobKind>(state.storage, now)
    const transact = transaction(state.storage, jobs)
    const report = async (observed: Observed) => transact(() => observe(state.storage.sql, now(), observed))
    const api = turnKeysApi(parsed.config, { fetch: (url, init) => fetch(url, init), now, observe: report })
    this.#context = {
      deployment: parsed.config.deployment,
      sql: state.storage.sql,
      now,
      jobs,
      idempotency: new Idempotency(state.storage.sql, now),
      turnKeys: withBulkhead(api, { connection: newListConnection(), now }),
      rootKeys: parsed.config.rootKeys,
      tenant: (id, locationHint) => env.TENANTS.get(env.TENANTS.idFromName(id), locationHint ? { locationHint } : {}),
      transact,
      waitUntil: (work) => state.waitUntil(work),
    }
    beginPruning(this.#context)
    // An alarm that was lost, or that an earlier release could not set, is set when the object starts.
    jobs.arm()
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

  recordErasures(tenant: string, erasures: readonly Erasure[]): Promise<Result<void>> {
    return this.#answer((ctx) => recordErasures(ctx, tenant, erasures))
  }

  isBeingRestored(tenant: string): Promise<Result<boolean>> {
    return this.#answer((ctx) => isBeingRestored(ctx, tenant))
  }

  reportTenant(report: TenantReport): Promise<Result<number>> {
    return this.#answer((ctx) => recordTenantReport(ctx, report))
  }

  /** Claims the issuers for the tenant, all or none. Fails with `conflict` if another tenant has one. */
  claimIssuers(tenant: string, shares: readonly IssuerShare[]): Promise<Result<void>> {
    return this.#answer((ctx) =>
      ctx.transact(() => {
        // The deletion of a tenant has already freed its issuers: nothing would free a later claim.
        if (!isTenant(ctx, tenant)) throw new BrokerError('not_found', { detail: 'No such tenant.' })
        claimIssuers(ctx, tenant, shares)
      }),
    )
  }

  markTenantDeleted(id: string): Promise<Result<void>> {
    return this.#answer((ctx) => markTenantDeleted(ctx, id))
  }

  /** Claims a uid for the tenant. `false`: it belongs to another tenant. */
  claimTurnKey(uid: string, tenant: string): Promise<Result<boolean>> {
    return this.#answer((ctx) =>
      ctx.transact(() => {
        scheduleSweep(ctx)
        return claimTurnKey(ctx.sql, { uid, tenant, now: ctx.now() })
      }),
    )
  }

  releaseTurnKey(uid: string, tenant: string): Promise<Result<void>> {
    return this.#answer((ctx) => ctx.transact(() => releaseTurnKey(ctx.sql, uid, tenant)))
  }

  /** The tenant that owns a TURN key; `null`: no tenant does. */
  turnKeyOwner(uid: string): Promise<Result<string | null>> {
    return this.#answer((ctx) => ownerOfTurnKey(ctx.sql, uid))
  }

  /** Takes one API call out of the budget. Fails with `rate_limited` or `upstream_unavailable`, with a time to wait. */
  spend(spending: Spending): Promise<Result<void>> {
    return this.#answer((ctx) => {
      const refused = ctx.transact(() => {
        const failure = spend(ctx.sql, ctx.now(), spending)
        if (!failure) scheduleSweep(ctx)
        return failure
      })
      if (refused) throw errorOf(refused)
    })
  }

  /** Takes back a call that was granted and not made. */
  giveBack(spending: Spending): Promise<Result<void>> {
    return this.#answer((ctx) => ctx.transact(() => giveBack(ctx.sql, spending)))
  }

  /** Records what one answer of Cloudflare said about the shared rate limit. */
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

  /** Uids of upstream's keys with this marker, from a list requested after `since` (milliseconds since 1970). */
  markedTurnKeys(marker: string, since: number): Promise<Result<string[]>> {
    return this.#answer((ctx) => this.#list.marked(ctx, marker, since))
  }

  /** Orders that every tenant's secrets move to the current root key. The check keys move at once. */
  orderReseal(call: ResealCall): Promise<Result<ResealView>> {
    return this.#answer(async (ctx) => {
      if (call.to === ctx.rootKeys.current) await this.#tokenCheck.reseal(ctx)
      return orderReseal(ctx, call)
    })
  }

  resealProgress(): Promise<Result<ResealView>> {
    return this.#answer(resealProgress)
  }

  /** Root keys that are configured or needed, with the number of tenants that need each. */
  rootKeysInUse(): Promise<Result<RootKeyUse[]>> {
    return this.#answer(rootKeysInUse)
  }

  /** Ids of the root keys that are needed to open a secret or verify a client token. Cheap. */
  neededRootKeys(): Promise<Result<string[]>> {
    return this.#answer(neededRootKeys)
  }

  /** The sealed check keys of API tokens, newest first. */
  checkKeys(): Promise<Result<SealedCheckKey[]>> {
    return this.#answer((ctx) => this.#tokenCheck.keys(ctx))
  }

  /** The same for an edge, which did not find them in KV. */
  checkKeysForEdge(): Promise<Result<SealedCheckKey[]>> {
    return this.#answer((ctx) => this.#tokenCheck.keysForEdge(ctx))
  }

  describeTokenCheck(): Promise<Result<TokenCheckView>> {
    return this.#answer((ctx) => this.#tokenCheck.view(ctx))
  }

  replaceCheckKey(call: Call): Promise<Result<TokenCheckView>> {
    return this.#answer((ctx) => this.#tokenCheck.replace(ctx, call))
  }

  override async alarm(): Promise<void> {
    const ctx = this.#context
    if ('misconfigured' in ctx) return postponeAlarm(this.ctx.storage)
    await ctx.jobs.run(accountJobs(ctx, { list: this.#list, tokenCheck: this.#tokenCheck }))
  }

  #answer<T>(operation: (ctx: AccountContext) => T | Promise<T>): Promise<Result<T>> {
    return answering(this.#context, (ctx) => {
      ctx.jobs.arm()
      return operation(ctx)
    })
  }
}
