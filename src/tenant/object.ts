/**
 * The Tenant's object without its RPC surface: assembling its parts, running an operation, the alarm, the end.
 */
import { DurableObject } from 'cloudflare:workers'
import { snapshotKey } from '../cache/entries.ts'
import { CacheWriter } from '../cache/writer.ts'
import { credentialsApi } from '../cloudflare/credentials.ts'
import { oneAtATime } from '../cloudflare/guardedTurnKeys.ts'
import { type Observer, turnKeysApi } from '../cloudflare/turnKeys.ts'
import { Breaker } from '../concurrency/circuitBreaker.ts'
import { Serial } from '../concurrency/keyedMutex.ts'
import { Gate } from '../concurrency/semaphore.ts'
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
import { CACHE_JOB, MIRROR_JOB, publish } from './core/changes.ts'
import type { TenantParts } from './core/context.ts'
import { rootKeysInUse } from './core/rootKeyUse.ts'
import { tenantRecord } from './core/tenantRow.ts'
import { refusalJobs } from './issuing/refusalAudit.ts'
import { pruningJobs } from './ledger/pruning.ts'
import { revokingJobs } from './ledger/revocation.ts'
import { DELETION_JOB, deletionJob } from './lifecycle/delete.ts'
import { SET_BACK_JOB } from './lifecycle/restore.ts'
import { ISSUERS } from './lifecycle/tenant.ts'
import { LiveCounts } from './memory/liveCounts.ts'
import { RefusalMemory } from './memory/refusalMemory.ts'
import { IMPORT_JOB, importJob } from './provisioning/import.ts'
import { REMOVE_JOB, RENAME_JOB, RETIRE_JOB, ROTATE_JOB, SETTLE_JOB } from './provisioning/machine/vocabulary.ts'
import { examiningJobs } from './provisioning/reconcile.ts'
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
  readonly #parts: TenantParts | { readonly misconfigured: string }
  #setUp: boolean

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env)
    // A stranger's question about a tenant that never was must store nothing.
    this.#setUp = isSetUp(ctx.storage.sql)
    if (this.#setUp) migrate(ctx.storage, MIGRATIONS)
    this.#parts = assemble(ctx, env)
  }

  override async alarm(): Promise<void> {
    const parts = this.#parts
    if ('misconfigured' in parts || !this.#setUp) return
    let buried = false
    await parts.jobs.run({
      [SETTLE_JOB]: (job) => settleCreation(parts, job),
      [REMOVE_JOB]: (job) => removalJob(parts, job),
      [RENAME_JOB]: (job) => renamingJob(parts, job),
      [ROTATE_JOB]: (job) => rotationJob(parts, job),
      [RETIRE_JOB]: (job) => retiringJob(parts, job),
      [IMPORT_JOB]: (job) => importJob(parts, job),
      [CACHE_JOB]: ({ key }) => rewriteEntry(parts, key),
      [MIRROR_JOB]: () => mirror(parts),
      [SET_BACK_JOB]: async () => 'done',
      [DELETION_JOB]: () =>
        deletionJob(parts, () => {
          buried = true
        }),
      ...examiningJobs(parts),
      ...revokingJobs(parts),
      ...refusalJobs(parts),
      ...pruningJobs(parts),
    })
    if (!buried) return
    this.#setUp = false
    await this.ctx.storage.deleteAlarm()
    await this.ctx.storage.deleteAll()
  }

  /** For the one method that may meet an object that is not set up. */
  protected settingUp<T>(operation: (parts: TenantParts) => T): Promise<Result<T>> {
    return answering(this.#parts, (parts) => {
      const value = operation(parts)
      this.#setUp = true
      return value
    })
  }

  /** `by`: who asks, where that may be a tenant's own token. Of a tenant that is no more, no token is valid. */
  protected answer<T>(operation: (parts: TenantParts) => T | Promise<T>, by?: Call | IssueRequest): Promise<Result<T>> {
    return answering(this.#parts, (parts) => {
      if (!this.#setUp && by && isOwnToken(by)) throw new BrokerError('invalid_token')
      if (!this.#setUp) throw new BrokerError('not_found', { detail: 'No such tenant.' })
      parts.jobs.arm()
      return operation(parts)
    })
  }
}

function isOwnToken(by: Call | IssueRequest): boolean {
  if (!('asker' in by)) return by.caller.kind === 'api-token'
  return !('caller' in by.asker) || by.asker.caller.kind === 'api-token'
}

function assemble(ctx: DurableObjectState, env: Env): TenantParts | { readonly misconfigured: string } {
  const parsed = parseConfig(env)
  if (!parsed.ok) return { misconfigured: parsed.variable }
  const { sql } = ctx.storage
  const now = () => Date.now()
  const jobs = new Jobs(ctx.storage, now)
  const upstream = { fetch: (url: string, init: RequestInit) => fetch(url, init), now }
  const retryPut = (key: string) => {
    jobs.put(CACHE_JOB, key, now() + CACHE_RETRY_MS)
    jobs.arm()
  }
  const memory: TenantParts['memory'] = { pruning: false, live: new LiveCounts(), sealedWith: new Set() }
  const transact = transaction(ctx.storage, jobs)
  const account = accountCalls(() => env.ACCOUNT.get(env.ACCOUNT.idFromName(ACCOUNT_NAME)))
  return {
    sql,
    storage: ctx.storage,
    now,
    config: parsed.config,
    jobs,
    idempotency: new Idempotency(sql, now),
    account: () => account,
    turnKeys: oneAtATime(turnKeysApi(parsed.config, { ...upstream, observe: reporting(ctx, account) }), now),
    credentials: credentialsApi(parsed.config, upstream),
    cache: new CacheWriter(env.CACHE, retryPut),
    serial: new Serial(),
    attempts: new Map(),
    creations: new Set(),
    checks: new Map(),
    mints: {
      gate: new Gate(MINTS_AT_ONCE, MINTS_QUEUED),
      breaker: new Breaker(),
      inFlight: new Set(),
      shared: new Map(),
    },
    revokeGate: new Gate(REVOCATIONS_AT_ONCE, REVOCATIONS_QUEUED),
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
    waitUntil: (work) => ctx.waitUntil(work),
  }
}

/** The Account hears what every answer said of the limits that all tenants share. One that is lost is no harm. */
function reporting(ctx: DurableObjectState, account: AccountPort): Observer {
  return async (observed) => {
    const told = account.observe(observed)
    ctx.waitUntil(told)
    await told
  }
}

/** A put that failed is done again with what is true now. */
async function rewriteEntry(parts: TenantParts, key: string): Promise<'done'> {
  const { id } = tenantRecord(parts)
  if (key === snapshotKey(id)) await publish(parts)
  else await publishKey(parts, key.slice(key.lastIndexOf(':') + 1))
  return 'done'
}

const mirror = (parts: TenantParts): Promise<'done'> =>
  parts.serial.run(ISSUERS, async (): Promise<'done'> => {
    const { id, name, status, version, policy } = tenantRecord(parts)
    const rootKeys = rootKeysInUse(parts)
    const report = { id, name, status, version, issuers: policy.issuers.map(pairOf), rootKeys }
    const known = unwrap(await parts.account().mirrorTenant(report))
    if (known > tenantRecord(parts).version) await catchUp(parts, known)
    return 'done'
  })

/** The Account knows a later version than there is: this object was set back in time, and nobody would hear of it. */
async function catchUp(parts: TenantParts, known: number): Promise<void> {
  parts.transact(() => {
    parts.sql.exec('UPDATE tenant SET version = ?, epoch = epoch + 1', known + 1)
    parts.jobs.put(MIRROR_JOB, '', parts.now())
  })
  await publish(parts)
}
