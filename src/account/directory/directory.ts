/**
 * The directory of tenants: creation, list, the reports of their objects, and the tombstones that prevent the reuse of
 * an id. The Tenant object is the truth; the directory finds it and mirrors name, status and version.
 */
import { actorOf, type Caller, type RequestRef } from '../../auth/caller.ts'
import { sharesOf } from '../../contract/policy/issuers.ts'
import { mergePolicy, type PolicyPatch, requireSoundPolicy } from '../../contract/policy/policy.ts'
import {
  type PolicyWarning,
  type Region,
  type TenantCreate,
  type TenantSummary,
  type TenantView,
  withWarnings,
} from '../../contract/resources/tenants.ts'
import { instant } from '../../contract/values.ts'
import { BrokerError, errorOf, type Failure, unwrap } from '../../errors.ts'
import type { TenantReport } from '../../rpc/tenants.ts'
import { audit } from '../../storage/audit.ts'
import type { IdempotencyKey } from '../../storage/idempotency.ts'
import { paged } from '../../storage/paging.ts'
import type { AccountContext } from '../core/context.ts'
import { addRootKeyUses, deleteRootKeyUses } from '../rootKeys/inUse.ts'
import { forgetResealed } from '../rootKeys/resealRows.ts'
import { claimIssuers, freeIssuersExcept, reclaimIssuers } from './issuers.ts'
import { releaseAllTurnKeys } from './keyOwners.ts'

export const CREATION_JOB = 'tenant-creation'
const ROUTE = 'tenants'
/** After this time the request that began a creation has ended, and the job takes over. */
const CREATION_TAKEOVER_MS = 30_000

export interface TenantRow extends Record<string, SqlStorageValue> {
  seq: number
  id: string
  name: string
  region: Region
  state: TenantSummary['status'] | 'deleted'
  version: number
  policy: string | null
  created_at: number
}

/** Whether the Tenant object may be called. Not before it is set up, because the first call decides its location. */
export function isTenant(ctx: AccountContext, id: string): boolean {
  const row = tenantRow(ctx, id)
  return row !== undefined && row.state !== 'creating' && row.state !== 'deleted'
}

/** One page of tenants, newest first. `before` is the last sequence number of the previous page. */
export function listTenants(
  ctx: AccountContext,
  page: { readonly before: number | null; readonly limit: number },
): { items: TenantSummary[]; next: number | null } {
  const rows = ctx.sql
    .exec<TenantRow>(
      // Over the tenants that are there. By the primary key it would read every tombstone on the way.
      "SELECT * FROM tenants INDEXED BY tenants_there WHERE state <> 'deleted' AND seq < ? ORDER BY seq DESC LIMIT ?",
      page.before ?? Number.MAX_SAFE_INTEGER,
      page.limit + 1,
    )
    .toArray()
  return paged(rows, page.limit, summaryOf)
}

export interface TenantCreation extends RequestRef {
  readonly caller: Caller
  readonly tenant: TenantCreate
  /** For the answer. A job that finishes the creation after a crash has none. */
  readonly warnings: readonly PolicyWarning[]
  /** Nothing is created, and only what an earlier request created is answered. */
  readonly refusal: Failure | undefined
  readonly idempotency: IdempotencyKey | undefined
}

/** Writes a row `creating`, sets the object up, then writes `active`. After a crash a job finishes the creation. */
export async function createTenant(ctx: AccountContext, creation: TenantCreation): Promise<TenantView> {
  const { tenant, idempotency } = creation
  const earlier = idempotency && ctx.idempotency.find(ROUTE, idempotency)
  if (earlier?.answer) return JSON.parse(earlier.answer) as TenantView // written by finishCreation
  if (earlier) throw new BrokerError('idempotency_in_progress', { retryAfterSeconds: 2 })
  if (tenantRow(ctx, tenant.id)) {
    throw new BrokerError('conflict', { detail: 'id: is in use or was used before; choose another.' })
  }
  if (creation.refusal) throw errorOf(creation.refusal)
  const chosen = mergePolicy({}, tenant.policy ?? {})
  requireSoundPolicy(chosen)
  if (chosen.defaultKeyId)
    throw new BrokerError('invalid_request', {
      detail: 'policy.defaultKeyId: a new tenant has no TURN key yet; set it later',
    })

  ctx.transact(() => {
    claimIssuers(ctx, tenant.id, (chosen.issuers ?? []).flatMap(sharesOf))
    ctx.sql.exec(
      "INSERT INTO tenants (id, name, region, state, policy, created_at) VALUES (?, ?, ?, 'creating', ?, ?)",
      tenant.id,
      tenant.name,
      tenant.region,
      JSON.stringify(chosen),
      ctx.now(),
    )
    if (idempotency) ctx.idempotency.begin(ROUTE, idempotency, tenant.id)
    const { requestId } = creation
    const event = { actor: actorOf(creation.caller), action: 'tenant.create', target: tenant.id, requestId } as const
    audit(ctx.sql, ctx.now(), { ...event, outcome: 'done' })
    ctx.jobs.put(CREATION_JOB, tenant.id, ctx.now() + CREATION_TAKEOVER_MS)
  })
  return finishCreation(ctx, tenant.id, creation.warnings)
}

/** Finishes a creation: for the request, and for the job after a crash. Idempotent. */
export async function finishCreation(
  ctx: AccountContext,
  id: string,
  warnings: readonly PolicyWarning[] = [],
): Promise<TenantView> {
  const view = withWarnings(await setUpTenant(ctx, id), warnings)
  ctx.transact(() => {
    ctx.sql.exec("UPDATE tenants SET state = 'active', policy = NULL WHERE id = ? AND state = 'creating'", id)
    ctx.idempotency.finish(ROUTE, id, view)
    ctx.jobs.remove(CREATION_JOB, id)
  })
  return view
}

/** Sets up the Tenant object. Does nothing if it is set up already. */
export async function setUpTenant(ctx: AccountContext, id: string): Promise<TenantView> {
  const row = tenantRow(ctx, id)
  if (!row || row.state === 'deleted') throw new BrokerError('not_found')
  const object = ctx.tenant(id, row.region === 'nearest' ? undefined : row.region)
  const policy = JSON.parse(row.policy ?? '{}') as PolicyPatch // written by createTenant, until the object has it
  return unwrap(await object.init({ id, name: row.name, region: row.region, policy, createdAt: row.created_at }))
}

/**
 * Stores a Tenant object's report. Reports may arrive out of order, so an older version changes nothing. Returns the
 * highest known version: if it is above the reported one, the object was restored to an earlier state.
 */
export function recordTenantReport(ctx: AccountContext, report: TenantReport): number {
  return ctx.transact(() => {
    addRootKeyUses(ctx, report.id, report.rootKeys ?? [])
    if ((tenantRow(ctx, report.id)?.version ?? 0) <= report.version) {
      freeIssuersExcept(ctx, report.id, report.issuers)
      // Not for a deleted tenant: nothing would free the claim.
      if (isTenant(ctx, report.id)) reclaimIssuers(ctx, report.id, report.issuers)
    }
    ctx.sql.exec(
      "UPDATE tenants SET name = ?, state = ?, version = ? WHERE id = ? AND version < ? AND state NOT IN ('creating', 'deleted')",
      report.name,
      report.status,
      report.version,
      report.id,
      report.version,
    )
    return tenantRow(ctx, report.id)?.version ?? report.version
  })
}

/** Ends a deletion: the tenant has no keys left upstream, and only its tombstone stays. Idempotent. */
export function markTenantDeleted(ctx: AccountContext, id: string): void {
  ctx.transact(() => {
    const row = tenantRow(ctx, id)
    if (!row || row.state === 'deleted') return
    ctx.sql.exec("UPDATE tenants SET state = 'deleted', name = '', deleted_at = ? WHERE id = ?", ctx.now(), id)
    releaseAllTurnKeys(ctx.sql, id)
    freeIssuersExcept(ctx, id, [])
    deleteRootKeyUses(ctx, id)
    forgetResealed(ctx, id)
    audit(ctx.sql, ctx.now(), { actor: 'broker', action: 'tenant.deleted', target: id, outcome: 'done' })
  })
}

export const tenantRow = (ctx: AccountContext, id: string): TenantRow | undefined =>
  ctx.sql.exec<TenantRow>('SELECT * FROM tenants WHERE id = ?', id).toArray()[0]

const summaryOf = (row: TenantRow): TenantSummary => ({
  id: row.id,
  name: row.name,
  region: row.region,
  status: row.state as TenantSummary['status'], // `deleted` rows are never listed
  createdAt: instant(row.created_at),
})
