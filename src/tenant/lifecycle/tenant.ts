/** How a tenant is set up, described and changed. Its deletion is deletion.ts. */
import { type IssuerPair, pairOf } from '../../contract/policy/issuers.ts'
import { mergePolicy, type PolicyPatch, requireSoundPolicy } from '../../contract/policy/policy.ts'
import type { TenantView } from '../../contract/resources/tenants.ts'
import { instant } from '../../contract/values.ts'
import { BrokerError, unwrap } from '../../errors.ts'
import type { TenantPatchCall, TenantSetUp } from '../../rpc/tenants.ts'
import { migrate } from '../../storage/migrations.ts'
import { countApiTokens } from '../core/apiTokenRows.ts'
import { MIRROR_JOB, publishSnapshot, recordChange } from '../core/changes.ts'
import type { TenantContext } from '../core/context.ts'
import { requireNotDeleting, tenantRecord } from '../core/tenantRow.ts'
import { recentUsage } from '../ledger/usage.ts'
import { MIGRATIONS } from '../schema.ts'
import { mintingKey } from '../turnKeys/lineage.ts'
import { countVisibleKeys } from '../turnKeys/rows.ts'

/** What `Serial` orders claims of issuers and reports of them by. */
export const ISSUERS = 'issuers'
/** Claims of a patch that failed are freed after this. */
const FREE_AFTER_MS = 10_000

/** Sets the object up, once: a repeat changes nothing and describes what is there. */
export function initTenant(ctx: TenantContext, it: TenantSetUp): TenantView {
  migrate(ctx.storage, MIGRATIONS)
  ctx.transact(() => {
    ctx.sql.exec(
      `INSERT INTO tenant (one, id, name, region, status, policy, version, epoch, created_at, modified_at)
       VALUES (1, ?, ?, ?, 'active', ?, 1, 1, ?, ?) ON CONFLICT DO NOTHING`,
      it.id,
      it.name,
      it.region,
      JSON.stringify(it.policy),
      it.createdAt,
      it.createdAt,
    )
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
    usage: recentUsage(ctx.sql),
    createdAt: instant(createdAt),
    modifiedAt: instant(modifiedAt),
  }
}

/** Merge patch of name, status and policy. Suspending raises the epoch: what is in flight sees it before it commits. */
export async function patchTenant(ctx: TenantContext, call: TenantPatchCall): Promise<TenantView> {
  const wanted = call.patch.policy?.issuers ?? []
  if (wanted.length === 0) applyPatch(ctx, call)
  else {
    // Between a claim and its commit no report may tell the Account that the tenant does not have the issuer.
    await ctx.mutex.run(ISSUERS, async () => {
      await claimIssuers(ctx, wanted)
      applyPatch(ctx, call)
    })
  }
  await publishSnapshot(ctx)
  return describeTenant(ctx)
}

function applyPatch(ctx: TenantContext, call: TenantPatchCall): void {
  const { patch, ifMatch } = call
  ctx.transact(() => {
    const before = requireNotDeleting(ctx)
    if (ifMatch !== undefined && ifMatch !== before.version) throw new BrokerError('version_mismatch')
    const chosen = patch.policy === undefined ? before.chosen : mergePolicy(before.chosen, patch.policy)
    const sound = soundPolicy(ctx, chosen)
    ctx.sql.exec(
      'UPDATE tenant SET name = ?, status = ?, policy = ?',
      patch.name ?? before.name,
      patch.status ?? before.status,
      JSON.stringify(sound),
    )
    recordChange(ctx, call, 'tenant.update')
  })
}

/** An issuer belongs to one tenant, and the Account knows whose it is. What is claimed and then not chosen is freed by the mirror. */
async function claimIssuers(ctx: TenantContext, wanted: readonly IssuerPair[]): Promise<void> {
  const { id } = requireNotDeleting(ctx)
  ctx.transact(() => ctx.jobs.put(MIRROR_JOB, '', ctx.now() + FREE_AFTER_MS))
  unwrap(await ctx.account().claimIssuers(id, wanted.map(pairOf)))
}

/** The choices, if they hold together; a default key that was replaced since is stored as the one that replaced it. */
function soundPolicy(ctx: TenantContext, chosen: PolicyPatch): PolicyPatch {
  requireSoundPolicy(chosen)
  if (!chosen.defaultKeyId) return chosen
  const key = mintingKey(ctx.sql, chosen.defaultKeyId)
  if (!key) throw new BrokerError('invalid_request', { detail: 'policy.defaultKeyId: no such TURN key' })
  return { ...chosen, defaultKeyId: key.uid }
}
