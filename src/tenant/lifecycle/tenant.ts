/** How a tenant is set up, described and changed. */
import { type IssuerShare, sharesOf } from '../../contract/policy/issuers.ts'
import { mergePolicy, type PolicyPatch, requireSoundPolicy } from '../../contract/policy/policy.ts'
import type { TenantView } from '../../contract/resources/tenants.ts'
import { instant } from '../../contract/values.ts'
import { BrokerError, unwrap } from '../../errors.ts'
import type { TenantPatchCall, TenantSetUp } from '../../rpc/tenants.ts'
import { migrate } from '../../storage/migrations.ts'
import { countApiTokens } from '../core/apiTokenRows.ts'
import { MIRROR_JOB, publishSnapshot, recordChange } from '../core/changes.ts'
import type { TenantContext } from '../core/context.ts'
import { changeTenant, insertTenant, requireNotDeleting, tenantRecord } from '../core/tenantRow.ts'
import { beginPruning } from '../ledger/pruning.ts'
import { recentUsage } from '../ledger/usage.ts'
import { MIGRATIONS } from '../schema.ts'
import { mintingKey } from '../turnKeys/lineage.ts'
import { countVisibleKeys } from '../turnKeys/rows.ts'

/** The mutex key under which claims of issuers and reports about them run one after the other. */
export const ISSUERS = 'issuers'
/** When the report runs that frees the claims of a patch that failed. */
const FREE_AFTER_MS = 10_000

/** Sets the object up, once: a repeat changes nothing and describes what is there. */
export function initTenant(ctx: TenantContext, setUp: TenantSetUp): TenantView {
  migrate(ctx.storage, MIGRATIONS)
  ctx.transact(() => {
    insertTenant(ctx, setUp)
    beginPruning(ctx)
  })
  return describeTenant(ctx)
}

export function describeTenant(ctx: TenantContext): TenantView {
  const { id, name, region, status, version, policy, createdAt, modifiedAt } = tenantRecord(ctx)
  return {
    id,
    name,
    region,
    status,
    version,
    policy,
    counts: {
      turnKeys: countVisibleKeys(ctx.sql),
      apiTokens: countApiTokens(ctx.sql),
      liveCredentials: ctx.live().liveCredentials(ctx.now()),
    },
    usage: recentUsage(ctx.sql, ctx.now(), {
      issued: ctx.live().issuedSinceStored,
      reused: ctx.memory.reuses.uncounted,
    }),
    createdAt: instant(createdAt),
    modifiedAt: instant(modifiedAt),
  }
}

/** Merge patch (RFC 7396) of name, status and policy. Suspending raises the epoch, which stops mints in flight. */
export async function patchTenant(ctx: TenantContext, call: TenantPatchCall): Promise<TenantView> {
  const wanted = (call.patch.policy?.issuers ?? []).flatMap(sharesOf)
  if (wanted.length === 0) applyPatch(ctx, call)
  else {
    // Between a claim and its commit no report may tell the Account that the tenant does not have the issuer.
    await ctx.mutex.run(ISSUERS, async () => {
      await claimIssuers(ctx, wanted)
      applyPatch(ctx, call)
    })
  }
  // Read before KV is written: another change may come meanwhile.
  const patched = describeTenant(ctx)
  await publishSnapshot(ctx)
  return patched
}

function applyPatch(ctx: TenantContext, call: TenantPatchCall): void {
  const { patch, ifMatch } = call
  ctx.transact(() => {
    const before = requireNotDeleting(ctx)
    if (ifMatch !== undefined && ifMatch !== before.version) throw new BrokerError('version_mismatch')
    const chosen = patch.policy === undefined ? before.chosen : mergePolicy(before.chosen, patch.policy)
    changeTenant(ctx, {
      name: patch.name ?? before.name,
      status: patch.status ?? before.status,
      chosen: soundPolicy(ctx, chosen),
    })
    recordChange(ctx, call, 'tenant.update')
  })
}

/** The Account records which tenant an issuer belongs to. The job `mirror` frees what was claimed and then not stored. */
async function claimIssuers(ctx: TenantContext, wanted: readonly IssuerShare[]): Promise<void> {
  const { id } = requireNotDeleting(ctx)
  ctx.transact(() => ctx.jobs.put(MIRROR_JOB, '', ctx.now() + FREE_AFTER_MS))
  unwrap(await ctx.account.claimIssuers(id, wanted))
}

/** The checked policy. A default key that was rotated meanwhile is stored as its successor. */
function soundPolicy(ctx: TenantContext, chosen: PolicyPatch): PolicyPatch {
  requireSoundPolicy(chosen)
  if (!chosen.defaultKeyId) return chosen
  const key = mintingKey(ctx.sql, chosen.defaultKeyId)
  if (!key) throw new BrokerError('invalid_request', { detail: 'policy.defaultKeyId: no such TURN key' })
  return { ...chosen, defaultKeyId: key.uid }
}
