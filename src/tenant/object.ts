/**
 * The Tenant's object without its RPC surface: assembling its parts, running an operation, the alarm, the end.
 */
import { DurableObject } from 'cloudflare:workers'
import { snapshotKey } from '../cache/entries.ts'
import { CacheWriter } from '../cache/writer.ts'
import { credentialsApi } from '../cloudflare/credentials.ts'
import { withBulkhead } from '../cloudflare/guardedTurnKeys.ts'
import { type RateObserver, turnKeysApi } from '../cloudflare/turnKeys.ts'
import { CircuitBreaker } from '../concurrency/circuitBreaker.ts'
import { KeyedMutex } from '../concurrency/keyedMutex.ts'
import { Semaphore } from '../concurrency/semaphore.ts'
import { pairOf } from '../contract/policy/issuers.ts'
import { parseConfig } from '../env.ts'
import { BrokerError, type Result, unwrap } from '../errors.ts'
import type { Call } from '../rpc/calls.ts'
import type { IssueRequest } from '../rpc/issuing.ts'
import type { AccountPort } from '../rpc/ports.ts'
import { Idempotency } from '../storage/idempotency.ts'
import { Jobs } from '../storage/jobs.ts'
import { isSetUp, migrate } from '../storage/migrations.ts'
import { ACCOUNT_NAME } from '../storage/names.ts'
import { answering, transaction } from '../storage/object.ts'
import { accountCalls } from './core/accountClient.ts'
import { CACHE_JOB, MIRROR_JOB, publishSnapshot } from './core/changes.ts'
import type { TenantContext } from './core/context.ts'
import { rootKeysInUse } from './core/rootKeyUse.ts'
import { tenantRecord } from './core/tenantRow.ts'
import { refusalJobs } from './issuing/refusalAudit.ts'
import { pruningJobs } from './ledger/pruning.ts'
import { revokingJobs } from './ledger/revocation.ts'
import { DELETION_JOB, deletionJob } from './lifecycle/delete.ts'
import { RESTORE_JOB } from './lifecycle/restore.ts'
import { ISSUERS } from './lifecycle/tenant.ts'
import { LiveCounts } from './memory/liveCounts.ts'
import { RefusalMemory } from './memory/refusalMemory.ts'
import { IMPORT_JOB, importJob } from './provisioning/import.ts'
import { REMOVE_JOB, RENAME_JOB, RETIRE_JOB, ROTATE_JOB, SETTLE_JOB } from './provisioning/machine/vocabulary.ts'
import { reconcileJobs } from './provisioning/reconcile.ts'
import { removalJob } from './provisioning/remove.ts'
import { renamingJob } from './provisioning/rename.ts'
import { retiringJob } from './provisioning/retire.ts'
import { settleCreation } from './provisioning/settle.ts'
import { rotationJob } from './provisioning/switchOver.ts'
import { MIGRATIONS } from './schema.ts'
import { publishKey } from './turnKeys/cacheEntry.ts'

/** A put that KV refused is tried again after this; KV takes one write a second for each key. */
const CACHE_RETRY_MS = 30_000
/** Of the about six connections of a Durable Object. The queue's turn comes within the mint's deadline or not at all. */
const MINTS_AT_ONCE = 4
const MINTS_QUEUED = 256
const REVOCATIONS_AT_ONCE = 1
const REVOCATIONS_QUEUED = 256

export abstract class TenantObject extends DurableObject<Env> {
  readonly #context: TenantContext | { readonly misconfigured: string }
  #setUp: boolean

  constructor(state: DurableObjectState, env: Env) {
    super(state, env)
    // A stranger's question about a tenant that never was must store nothing.
    this.#setUp = isSetUp(state.storage.sql)
    if (this.#setUp) migrate(state.storage, MIGRATIONS)
    this.#context = assemble(state, env)
  }

  override async alarm(): Promise<void> {
    const ctx = this.#context
    if ('misconfigured' in ctx || !this.#setUp) return
    let buried = false
    await ctx.jobs.run({
      [SETTLE_JOB]: (job) => settleCreation(ctx, job),
      [REMOVE_JOB]: (job) => removalJob(ctx, job),
      [RENAME_JOB]: (job) => renamingJob(ctx, job),
      [ROTATE_JOB]: (job) => rotationJob(ctx, job),
      [RETIRE_JOB]: (job) => retiringJob(ctx, job),
      [IMPORT_JOB]: (job) => importJob(ctx, job),
      [CACHE_JOB]: ({ key }) => rewriteEntry(ctx, key),
      [MIRROR_JOB]: () => mirror(ctx),
      [RESTORE_JOB]: async () => 'done',
      [DELETION_JOB]: () =>
        deletionJob(ctx, () => {
          buried = true
        }),
      ...reconcileJobs(ctx),
      ...revokingJobs(ctx),
      ...refusalJobs(ctx),
      ...pruningJobs(ctx),
    })
    if (!buried) return
    this.#setUp = false
    await this.ctx.storage.deleteAlarm()
    await this.ctx.storage.deleteAll()
  }

  /** For the one method that may meet an object that is not set up. */
  protected settingUp<T>(operation: (ctx: TenantContext) => T): Promise<Result<T>> {
    return answering(this.#context, (ctx) => {
      const value = operation(ctx)
      this.#setUp = true
      return value
    })
  }

  /** `by`: who asks, where that may be a tenant's own token. Of a tenant that is no more, no token is valid. */
  protected answer<T>(operation: (ctx: TenantContext) => T | Promise<T>, by?: Call | IssueRequest): Promise<Result<T>> {
    return answering(this.#context, (ctx) => {
      if (!this.#setUp && by && isOwnToken(by)) throw new BrokerError('invalid_token')
      if (!this.#setUp) throw new BrokerError('not_found', { detail: 'No such tenant.' })
      ctx.jobs.arm()
      return operation(ctx)
    })
  }
}

function isOwnToken(by: Call | IssueRequest): boolean {
  if (!('asker' in by)) return by.caller.kind === 'api-token'
  return !('caller' in by.asker) || by.asker.caller.kind === 'api-token'
}

function assemble(state: DurableObjectState, env: Env): TenantContext | { readonly misconfigured: string } {
  const parsed = parseConfig(env)
  if (!parsed.ok) return { misconfigured: parsed.variable }
  const { sql } = state.storage
  const now = () => Date.now()
  const jobs = new Jobs(state.storage, now)
  const upstream = { fetch: (url: string, init: RequestInit) => fetch(url, init), now }
  const retryPut = (key: string) => {
    jobs.put(CACHE_JOB, key, now() + CACHE_RETRY_MS)
    jobs.arm()
  }
  const memory: TenantContext['memory'] = { pruning: false, live: new LiveCounts(), sealedWith: new Set() }
  const transact = transaction(state.storage, jobs)
  const account = accountCalls(() => env.ACCOUNT.get(env.ACCOUNT.idFromName(ACCOUNT_NAME)))
  return {
    sql,
    storage: state.storage,
    now,
    config: parsed.config,
    jobs,
    idempotency: new Idempotency(sql, now),
    account: () => account,
    turnKeys: withBulkhead(turnKeysApi(parsed.config, { ...upstream, observe: reporting(state, account) }), now),
    credentials: credentialsApi(parsed.config, upstream),
    cache: new CacheWriter(env.CACHE, retryPut),
    serial: new KeyedMutex(),
    attempts: new Map(),
    creations: new Set(),
    checks: new Map(),
    mints: {
      gate: new Semaphore(MINTS_AT_ONCE, MINTS_QUEUED),
      breaker: new CircuitBreaker(),
      inFlight: new Set(),
      shared: new Map(),
    },
    revokeGate: new Semaphore(REVOCATIONS_AT_ONCE, REVOCATIONS_QUEUED),
    live: () => {
      memory.live.load(sql, now())
      return memory.live
    },
    refusals: new RefusalMemory(),
    memory,
    transact(work) {
      try {
        return transact(work)
      } catch (error) {
        // Rolled back, and with it what is remembered of it. Refusals decided inside have changed nothing.
        if (error instanceof BrokerError && error.failure.code !== 'storage_failed') throw error
        memory.pruning = false
        memory.live.forget()
        memory.sealedWith.clear()
        throw error
      }
    },
    waitUntil: (work) => state.waitUntil(work),
  }
}

/** The Account hears what every answer said of the limits that all tenants share. One that is lost is no harm. */
function reporting(state: DurableObjectState, account: AccountPort): RateObserver {
  return async (observed) => {
    const told = account.observe(observed)
    state.waitUntil(told)
    await told
  }
}

/** A put that failed is done again with what is true now. */
async function rewriteEntry(ctx: TenantContext, key: string): Promise<'done'> {
  const { id } = tenantRecord(ctx)
  if (key === snapshotKey(id)) await publishSnapshot(ctx)
  else await publishKey(ctx, key.slice(key.lastIndexOf(':') + 1))
  return 'done'
}

const mirror = (ctx: TenantContext): Promise<'done'> =>
  ctx.serial.run(ISSUERS, async (): Promise<'done'> => {
    const { id, name, status, version, policy } = tenantRecord(ctx)
    const rootKeys = rootKeysInUse(ctx)
    const report = { id, name, status, version, issuers: policy.issuers.map(pairOf), rootKeys }
    const known = unwrap(await ctx.account().reportTenant(report))
    if (known > tenantRecord(ctx).version) await catchUp(ctx, known)
    return 'done'
  })

/** The Account knows a later version than there is: this object was set back in time, and nobody would hear of it. */
async function catchUp(ctx: TenantContext, known: number): Promise<void> {
  ctx.transact(() => {
    ctx.sql.exec('UPDATE tenant SET version = ?, epoch = epoch + 1', known + 1)
    ctx.jobs.put(MIRROR_JOB, '', ctx.now())
  })
  await publishSnapshot(ctx)
}
