/** What follows every change of a tenant: version, epoch, audit, the edge's snapshot and the Account's mirror. */
import { actorOf } from '../../auth/caller.ts'
import { FORMAT, snapshotKey, type TenantSnapshot } from '../../cache/entries.ts'
import type { Call } from '../../rpc/calls.ts'
import { audit } from '../../storage/audit.ts'
import { snapshotTokens } from './apiTokenRows.ts'
import type { TenantContext } from './context.ts'
import { tenantRecord } from './tenantRow.ts'

export const MIRROR_JOB = 'mirror'
/** A put that KV refused; the job's key is the KV key. */
export const CACHE_JOB = 'cache'
const MIRROR_AFTER_MS = 500

/**
 * Inside a transaction that changed what others know of the tenant: version and epoch go up, the change is audited
 * and the Account told. Raising the epoch also where nothing was taken away is harmless: a mint re-reads its grounds.
 */
export function recordChange(ctx: TenantContext, call: Call | undefined, action: string, target?: string): void {
  ctx.sql.exec('UPDATE tenant SET version = version + 1, epoch = epoch + 1, modified_at = ?', ctx.now())
  const actor = call ? actorOf(call.caller) : 'broker'
  audit(ctx.sql, ctx.now(), { actor, action, target, outcome: 'done', requestId: call?.requestId })
  ctx.jobs.put(MIRROR_JOB, '', ctx.now() + MIRROR_AFTER_MS)
}

/** After such a transaction: the edge's snapshot is rewritten before the caller is answered; the Account hears of it by job. */
export const publishSnapshot = (ctx: TenantContext): Promise<void> => {
  const { id } = tenantRecord(ctx)
  return ctx.cache.put(snapshotKey(id), snapshot(ctx))
}

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
