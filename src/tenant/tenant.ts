/**
 * The Tenant: one Durable Object a tenant, the truth of that tenant. Key secrets are opened only inside it.
 * This file is its RPC surface; each method is one operation of a file beside it, and answers a typed result.
 */
import { DurableObject } from 'cloudflare:workers'
import { snapshotKey } from '../cache/entries.ts'
import { CacheWriter } from '../cache/writer.ts'
import { turnKeysApi } from '../cloudflare/turnKeys.ts'
import type { ApiTokenCreate, ApiTokenView, ApiTokenWithSecret } from '../contract/apiTokens.ts'
import type { Scope } from '../contract/scopes.ts'
import type { TenantPatch, TenantView } from '../contract/tenants.ts'
import type { CreatedTurnKey, DeletedTurnKey, TurnKeyView } from '../contract/turnKeys.ts'
import { parseConfig } from '../env.ts'
import { BrokerError, type Result, unwrap } from '../errors.ts'
import { Idempotency, type IdempotencyKey } from '../storage/idempotency.ts'
import { Jobs } from '../storage/jobs.ts'
import { isSetUp, migrate } from '../storage/migrations.ts'
import { ACCOUNT_NAME } from '../storage/names.ts'
import { answering, transaction } from '../storage/object.ts'
import { createApiToken, deleteApiToken, listApiTokens, rollApiToken } from './apiTokens.ts'
import { authorize } from './authority.ts'
import { CACHE_JOB, MIRROR_JOB, publish } from './changes.ts'
import { beginDeletion, DELETION_JOB, deletionJob } from './deletion.ts'
import { describeTenant, initTenant, patchTenant, type TenantSetUp } from './lifecycle.ts'
import type { Call, TenantParts } from './parts.ts'
import { tenantRecord } from './record.ts'
import { MIGRATIONS } from './schema.ts'
import { Serial } from './serial.ts'
import { publishKey } from './turnKeyCache.ts'
import { createTurnKey, type TurnKeyCreation } from './turnKeyCreation.ts'
import { type LookedUp, listTurnKeys, lookUpTurnKey } from './turnKeyLookup.ts'
import { REMOVE_JOB, removalJob, removeTurnKey } from './turnKeyRemoval.ts'
import { RENAME_JOB, renameTurnKey, renamingJob } from './turnKeyRenaming.ts'
import { SETTLE_JOB, settleCreation } from './turnKeySettling.ts'

/** A put that KV refused is tried again after this; KV takes one write a second for each key. */
const CACHE_RETRY_MS = 30_000

export interface Page {
  readonly before: number | null
  readonly limit: number
}

export class Tenant extends DurableObject<Env> {
  readonly #parts: TenantParts | { readonly misconfigured: string }
  #setUp: boolean

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env)
    // A stranger's question about a tenant that never was must store nothing.
    this.#setUp = isSetUp(ctx.storage.sql)
    if (this.#setUp) migrate(ctx.storage, MIGRATIONS)
    this.#parts = this.#assemble(ctx, env)
  }

  #assemble(ctx: DurableObjectState, env: Env): TenantParts | { readonly misconfigured: string } {
    const parsed = parseConfig(env)
    if (!parsed.ok) return { misconfigured: parsed.variable }
    const now = () => Date.now()
    const jobs = new Jobs(ctx.storage, now)
    const retryPut = (key: string) => {
      jobs.put(CACHE_JOB, key, now() + CACHE_RETRY_MS)
      jobs.arm()
    }
    return {
      sql: ctx.storage.sql,
      storage: ctx.storage,
      now,
      config: parsed.config,
      jobs,
      idempotency: new Idempotency(ctx.storage.sql, now),
      account: () => env.ACCOUNT.get(env.ACCOUNT.idFromName(ACCOUNT_NAME)),
      turnKeys: turnKeysApi(parsed.config, { fetch: (url, init) => fetch(url, init), now }),
      cache: new CacheWriter(env.CACHE, retryPut),
      serial: new Serial(),
      checks: new Map(),
      transact: transaction(ctx.storage, jobs),
      waitUntil: (work) => ctx.waitUntil(work),
    }
  }

  /** Sets the object up; the only method that may meet an object that is not. Called by the Account. */
  init(setUp: TenantSetUp): Promise<Result<TenantView>> {
    return answering(this.#parts, (parts) => {
      const view = initTenant(parts, setUp)
      this.#setUp = true
      return view
    })
  }

  describe(call: Call & { scope: Scope }): Promise<Result<TenantView>> {
    return this.#answer((parts) => {
      authorize(parts, call.caller, call.scope)
      return describeTenant(parts)
    }, call)
  }

  patch(call: Call & { patch: TenantPatch; ifMatch: number | undefined }): Promise<Result<TenantView>> {
    return this.#answer((parts) => patchTenant(parts, call))
  }

  beginDeletion(call: Call & { cascade: boolean }): Promise<Result<void>> {
    return this.#answer((parts) => beginDeletion(parts, call))
  }

  listApiTokens(page: Page): Promise<Result<{ items: ApiTokenView[]; next: number | null }>> {
    return this.#answer((parts) => listApiTokens(parts, page))
  }

  createApiToken(
    call: Call & { input: ApiTokenCreate; idempotency: IdempotencyKey | undefined },
  ): Promise<Result<ApiTokenWithSecret>> {
    return this.#answer((parts) => createApiToken(parts, call))
  }

  rollApiToken(call: Call & { tokenId: string; overlapSeconds: number }): Promise<Result<ApiTokenWithSecret>> {
    return this.#answer((parts) => rollApiToken(parts, call))
  }

  deleteApiToken(call: Call & { tokenId: string }): Promise<Result<void>> {
    return this.#answer((parts) => deleteApiToken(parts, call))
  }

  /** Whether a caller may do something, for a request that goes no further. */
  authorize(call: Call & { scope: Scope }): Promise<Result<void>> {
    return this.#answer((parts) => {
      authorize(parts, call.caller, call.scope)
      parts.waitUntil(publish(parts))
    }, call)
  }

  listTurnKeys(call: Call): Promise<Result<TurnKeyView[]>> {
    return this.#answer((parts) => listTurnKeys(parts, call), call)
  }

  createTurnKey(creation: TurnKeyCreation): Promise<Result<CreatedTurnKey>> {
    return this.#answer((parts) => {
      const work = createTurnKey(parts, creation)
      // Goes on when the caller has hung up; whoever waits still gets the failure.
      parts.waitUntil(work.catch(() => undefined))
      return work
    }, creation)
  }

  lookUpTurnKey(call: Call & { uid: string }): Promise<Result<LookedUp>> {
    return this.#answer((parts) => lookUpTurnKey(parts, call), call)
  }

  renameTurnKey(call: Call & { uid: string; name: string | undefined }): Promise<Result<TurnKeyView>> {
    return this.#answer((parts) => renameTurnKey(parts, call), call)
  }

  removeTurnKey(call: Call & { uid: string }): Promise<Result<DeletedTurnKey>> {
    return this.#answer((parts) => removeTurnKey(parts, call), call)
  }

  override async alarm(): Promise<void> {
    const parts = this.#parts
    if ('misconfigured' in parts || !this.#setUp) return
    let buried = false
    await parts.jobs.run({
      [SETTLE_JOB]: (job) => settleCreation(parts, job),
      [REMOVE_JOB]: (job) => removalJob(parts, job),
      [RENAME_JOB]: (job) => renamingJob(parts, job),
      [CACHE_JOB]: ({ key }) => rewriteEntry(parts, key),
      [MIRROR_JOB]: () => mirror(parts),
      [DELETION_JOB]: () =>
        deletionJob(parts, () => {
          buried = true
        }),
    })
    if (!buried) return
    this.#setUp = false
    await this.ctx.storage.deleteAlarm()
    await this.ctx.storage.deleteAll()
  }

  /** `by`: who asks, where that may be a tenant's own token. Of a tenant that is no more, no token is valid. */
  #answer<T>(operation: (parts: TenantParts) => T | Promise<T>, by?: Call): Promise<Result<T>> {
    return answering(this.#parts, (parts) => {
      if (!this.#setUp && by?.caller.kind === 'api-token') throw new BrokerError('invalid_token')
      if (!this.#setUp) throw new BrokerError('not_found', { detail: 'No such tenant.' })
      parts.jobs.arm()
      return operation(parts)
    })
  }
}

/** A put that failed is done again with what is true now. */
async function rewriteEntry(parts: TenantParts, key: string): Promise<'done'> {
  const { id } = tenantRecord(parts)
  if (key === snapshotKey(id)) await publish(parts)
  else await publishKey(parts, key.slice(key.lastIndexOf(':') + 1))
  return 'done'
}

async function mirror(parts: TenantParts): Promise<'done'> {
  const { id, name, status, version } = tenantRecord(parts)
  unwrap(await parts.account().mirrorTenant({ id, name, status, version }))
  return 'done'
}
