/** The Tenant's object without its RPC surface: it builds the context, runs operations and the alarm, and deletes itself. */
import { DurableObject } from 'cloudflare:workers'
import type { Caller } from '../auth/caller.ts'
import { snapshotKey } from '../cache/entries.ts'
import { CacheWriter } from '../cache/writer.ts'
import { credentialsApi } from '../cloudflare/credentials.ts'
import { withBulkhead } from '../cloudflare/guardedTurnKeys.ts'
import { type RateObserver, turnKeysApi } from '../cloudflare/turnKeys.ts'
import { CircuitBreaker } from '../concurrency/circuitBreaker.ts'
import { KeyedMutex } from '../concurrency/keyedMutex.ts'
import { sharesOf } from '../contract/policy/issuers.ts'
import { parseConfig } from '../env.ts'
import { BrokerError, type Result, unwrap } from '../errors.ts'
import type { Asker } from '../rpc/issuing.ts'
import type { AccountPort } from '../rpc/ports.ts'
import { Idempotency } from '../storage/idempotency.ts'
import { Jobs } from '../storage/jobs.ts'
import { isSetUp, migrate } from '../storage/migrations.ts'
import { accountStub } from '../storage/names.ts'
import { answering, postponeAlarm, transaction } from '../storage/object.ts'
import { accountCalls } from './core/accountClient.ts'
import { CACHE_JOB, MIRROR_JOB, publishSnapshot } from './core/changes.ts'
import { newConnections } from './core/connections.ts'
import type { TenantContext } from './core/context.ts'
import type { TenantJobKind } from './core/jobKinds.ts'
import { Remembered } from './core/remembered.ts'
import { rootKeysInUse } from './core/rootKeyUse.ts'
import { skipToVersion, tenantId, tenantRecord } from './core/tenantRow.ts'
import { refusalJobs } from './issuing/refusalAudit.ts'
import { countLedger } from './ledger/counts.ts'
import { erasureJobs } from './ledger/erasures.ts'
import { pruningJobs } from './ledger/pruning.ts'
import { revokingJobs } from './ledger/revokingJob.ts'
import { DELETION_JOB, deletionJob } from './lifecycle/delete.ts'
import { RESTORE_JOB } from './lifecycle/restore.ts'
import { RestoreGate } from './lifecycle/restoreGate.ts'
import { ISSUERS } from './lifecycle/tenant.ts'
import { ObjectMemory } from './memory/objectMemory.ts'
import { provingJob } from './provisioning/create.ts'
import { IMPORT_JOB, importJob } from './provisioning/import.ts'
import { CHECK_COOL_DOWN_MS } from './provisioning/lookup.ts'
import {
  PROVE_JOB,
  REMOVE_JOB,
  RENAME_JOB,
  RETIRE_JOB,
  ROTATE_JOB,
  SETTLE_JOB,
} from './provisioning/machine/vocabulary.ts'
import { reconcileJobs } from './provisioning/reconcile.ts'
import { removalJob } from './provisioning/remove.ts'
import { renamingJob } from './provisioning/rename.ts'
import { retiringJob } from './provisioning/retire.ts'
import { settleCreation } from './provisioning/settle.ts'
import { rotationJob } from './provisioning/switchOver.ts'
import { MIGRATIONS } from './schema.ts'
import { publishKey } from './turnKeys/cacheEntry.ts'

/** A put that KV refused is tried again after this. */
const CACHE_RETRY_MS = 30_000

export abstract class TenantObject extends DurableObject<Env> {
  readonly #context: TenantContext | { readonly misconfigured: string }
  #setUp: boolean
  protected readonly restoreGate = new RestoreGate()
  /** The Account has only the tombstone left: the storage goes as soon as no job is under way. */
  #buried = false

  constructor(state: DurableObjectState, env: Env) {
    super(state, env)
    // A request for a tenant that never existed must store nothing.
    this.#setUp = isSetUp(state.storage.sql)
    if (this.#setUp) migrate(state.storage, MIGRATIONS)
    this.#context = assemble(state, env)
    // An alarm that was lost, or that an earlier release could not set, is set when the object starts.
    if (this.#setUp && !('misconfigured' in this.#context)) this.#context.jobs.arm()
  }

  override async alarm(): Promise<void> {
    const ctx = this.#context
    if (!this.#setUp) return
    if ('misconfigured' in ctx) return postponeAlarm(this.ctx.storage)
    await ctx.jobs.run({
      [SETTLE_JOB]: (job) => settleCreation(ctx, job),
      [REMOVE_JOB]: (job) => removalJob(ctx, job),
      [RENAME_JOB]: (job) => renamingJob(ctx, job),
      [PROVE_JOB]: (job) => provingJob(ctx, job),
      [ROTATE_JOB]: (job) => rotationJob(ctx, job),
      [RETIRE_JOB]: (job) => retiringJob(ctx, job),
      [IMPORT_JOB]: (job) => importJob(ctx, job),
      [CACHE_JOB]: ({ key }) => rewriteEntry(ctx, key),
      [MIRROR_JOB]: () => mirror(ctx),
      [RESTORE_JOB]: async () => 'done',
      [DELETION_JOB]: () =>
        deletionJob(ctx, () => {
          this.#buried = true
        }),
      ...reconcileJobs(ctx),
      ...revokingJobs(ctx),
      ...refusalJobs(ctx),
      ...erasureJobs(ctx),
      ...pruningJobs(ctx),
    })
    if (!this.#buried || ctx.jobs.underWay > 0) return
    this.#setUp = false
    this.#buried = false
    await this.ctx.storage.deleteAlarm()
    await this.ctx.storage.deleteAll()
  }

  /** For `init`, the one method that an object without a tenant answers. */
  protected settingUp<T>(operation: (ctx: TenantContext) => T): Promise<Result<T>> {
    return answering(this.#context, (ctx) => {
      const value = operation(ctx)
      this.#setUp = true
      this.restoreGate.open()
      return value
    })
  }

  /** `by`: who asks, where that may be a token of the tenant. Once a tenant is deleted, none of its tokens is valid. */
  protected answer<T>(operation: (ctx: TenantContext) => T | Promise<T>, by?: Caller | Asker): Promise<Result<T>> {
    return this.answerWhileRestored((ctx) => {
      const waiting = this.restoreGate.pass(ctx)
      return waiting === undefined ? operation(ctx) : waiting.then(() => operation(ctx))
    }, by)
  }

  /** The same without the gate: for the Account's own steps of a restore. */
  protected answerWhileRestored<T>(
    operation: (ctx: TenantContext) => T | Promise<T>,
    by?: Caller | Asker,
  ): Promise<Result<T>> {
    return answering(this.#context, (ctx) => {
      if (!this.#setUp && by && !isOperator(by)) throw new BrokerError('invalid_token', { aboutCaller: true })
      if (!this.#setUp) throw new BrokerError('not_found', { detail: 'No such tenant.' })
      ctx.jobs.arm()
      return operation(ctx)
    })
  }
}

function isOperator(by: Caller | Asker): boolean {
  return by.kind === 'server' ? by.caller.kind === 'operator' : by.kind === 'operator'
}

function assemble(state: DurableObjectState, env: Env): TenantContext | { readonly misconfigured: string } {
  const parsed = parseConfig(env)
  if (!parsed.ok) return { misconfigured: parsed.variable }
  const { sql } = state.storage
  const now = () => Date.now()
  const jobs = new Jobs<TenantJobKind>(state.storage, now)
  const connections = newConnections()
  const upstream = { fetch: (url: string, init: RequestInit) => fetch(url, init), now }
  const retryPut = (key: string) => {
    // A job that waits already keeps its time, so that a row is written for the first of many failures only.
    jobs.ensure(CACHE_JOB, key, now() + CACHE_RETRY_MS)
    jobs.arm()
  }
  const memory = new ObjectMemory({ now, checkCoolDownMs: CHECK_COOL_DOWN_MS })
  const transact = transaction(state.storage, jobs)
  const account = accountCalls(() => accountStub(env.ACCOUNT, parsed.config.accountLocation))
  return {
    sql,
    storage: state.storage,
    now,
    config: parsed.config,
    jobs,
    idempotency: new Idempotency(sql, now),
    account,
    turnKeys: withBulkhead(turnKeysApi(parsed.config, { ...upstream, observe: reporting(state, account) }), {
      connection: connections.keys,
      now,
    }),
    credentials: credentialsApi(parsed.config, upstream),
    cache: new CacheWriter(env.CACHE, { connection: connections.kv, now, failed: retryPut }),
    mutex: new KeyedMutex(),
    mints: {
      semaphore: connections.mints,
      circuitBreaker: new CircuitBreaker(),
    },
    revocationSemaphore: connections.revocations,
    keySemaphore: connections.keys,
    live: () => {
      memory.live.load(() => countLedger(sql, now()), now())
      return memory.live
    },
    memory,
    transact(work) {
      try {
        return transact(work)
      } catch (error) {
        Remembered.forgetAll(sql)
        // A refusal is decided before its transaction has written anything; storage that failed has undone writes.
        if (error instanceof BrokerError && error.failure.code !== 'storage_failed') throw error
        memory.forget()
        throw error
      }
    },
    waitUntil: (work) => state.waitUntil(work),
  }
}

/** Reports what every answer of Cloudflare's API says of the shared limits to the Account. A lost report does no harm. */
function reporting(state: DurableObjectState, account: AccountPort): RateObserver {
  return async (observed) => {
    const reported = account.observe(observed)
    state.waitUntil(reported)
    await reported
  }
}

/** Repeats a put that KV refused, with the current value. */
async function rewriteEntry(ctx: TenantContext, key: string): Promise<'done' | 'retry'> {
  const isSnapshot = key === snapshotKey(tenantId(ctx))
  const written = await (isSnapshot ? publishSnapshot(ctx) : publishKey(ctx, key.slice(key.lastIndexOf(':') + 1)))
  return written ? 'done' : 'retry'
}

const mirror = (ctx: TenantContext): Promise<'done'> =>
  ctx.mutex.run(ISSUERS, async (): Promise<'done'> => {
    const { id, name, status, version, policy } = tenantRecord(ctx)
    const rootKeys = rootKeysInUse(ctx)
    const report = { id, name, status, version, issuers: policy.issuers.flatMap(sharesOf), rootKeys }
    const known = unwrap(await ctx.account.reportTenant(report))
    if (known > tenantRecord(ctx).version) await catchUp(ctx, known)
    return 'done'
  })

/** The Account knows a later version: this object was restored, and its reports would be ignored. */
async function catchUp(ctx: TenantContext, known: number): Promise<void> {
  ctx.transact(() => {
    skipToVersion(ctx, known + 1)
    ctx.jobs.put(MIRROR_JOB, '', ctx.now())
  })
  await publishSnapshot(ctx)
}
