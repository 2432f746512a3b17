/** What follows every change of a tenant: version, epoch, audit, the edge's snapshot and the report to the Account. */
import { actorOf } from '../../auth/caller.ts'
import { FORMAT, snapshotKey, type TenantSnapshot } from '../../cache/entries.ts'
import type { AuditAction } from '../../contract/resources/auditEvents.ts'
import type { Call } from '../../rpc/calls.ts'
import { audit } from '../../storage/audit.ts'
import { snapshotTokens } from './apiTokenRows.ts'
import type { TenantContext } from './context.ts'
import { raiseVersion, tenantId, tenantRecord } from './tenantRow.ts'

export const MIRROR_JOB = 'mirror'
/** A put that KV refused; the job's key is the KV key. */
export const CACHE_JOB = 'cache'
const MIRROR_AFTER_MS = 500

/**
 * Inside a transaction that changed what others know of the tenant: raises version and epoch, audits the change, and
 * orders the report to the Account. A needless rise of the epoch is harmless: a mint checks its eligibility once more.
 */
export function recordChange(ctx: TenantContext, call: Call | undefined, action: AuditAction, target?: string): void {
  raiseVersion(ctx, ctx.now())
  const actor = call ? actorOf(call.caller) : 'broker'
  audit(ctx.sql, ctx.now(), { actor, action, target, outcome: 'done', requestId: call?.requestId })
  ctx.jobs.put(MIRROR_JOB, '', ctx.now() + MIRROR_AFTER_MS)
}

/** After such a transaction: writes the edge's snapshot to KV before the caller is answered. Whether KV took it, or a newer one. */
export const publishSnapshot = (ctx: TenantContext): Promise<boolean> =>
  ctx.cache.put(snapshotKey(tenantId(ctx)), snapshot(ctx))

export function snapshot(ctx: TenantContext): TenantSnapshot {
  const { id, version, status, policy } = tenantRecord(ctx)
  return {
    v: FORMAT,
    tenant: id,
    version,
    confirmedAt: ctx.now(),
    status,
    tokens: snapshotTokens(ctx.sql, ctx.now()),
    allowedOrigins: policy.allowedOrigins,
    requireOrigin: policy.requireOrigin,
    issuers: policy.issuers,
  }
}
