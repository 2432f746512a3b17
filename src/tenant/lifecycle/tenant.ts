/** How a tenant is set up, described and changed. Its deletion is deletion.ts. */
import { type IssuerPair, pairOf } from '../../contract/policy/issuers.ts'
import { mergePolicy, type PolicyPatch, requireSoundPolicy } from '../../contract/policy/policy.ts'
import type { TenantView } from '../../contract/resources/tenants.ts'
import { instant } from '../../contract/values.ts'
import { BrokerError, unwrap } from '../../errors.ts'
import type { TenantPatchCall, TenantSetUp } from '../../rpc/tenants.ts'
import { migrate } from '../../storage/migrations.ts'
import { countApiTokens } from '../core/apiTokenRows.ts'
import { MIRROR_JOB, publish, recordChange } from '../core/changes.ts'
import type { TenantParts } from '../core/context.ts'
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
export function initTenant(parts: TenantParts, it: TenantSetUp): TenantView {
  migrate(parts.storage, MIGRATIONS)
  parts.transact(() => {
    parts.sql.exec(
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
  return describeTenant(parts)
}

export function describeTenant(parts: TenantParts): TenantView {
  const { id, name, region, status, version, policy, createdAt, modifiedAt } = tenantRecord(parts)
  return {
    id,
    name,
    region,
    status,
    version,
    policy,
    counts: {
      turnKeys: countVisibleKeys(parts.sql),
      apiTokens: countApiTokens(parts.sql),
      liveCredentials: parts.live().live(parts.now()),
    },
    usage: recentUsage(parts.sql),
    createdAt: instant(createdAt),
    modifiedAt: instant(modifiedAt),
  }
}

/** Merge patch of name, status and policy. Suspending raises the epoch: what is in flight sees it before it commits. */
export async function patchTenant(parts: TenantParts, call: TenantPatchCall): Promise<TenantView> {
  const wanted = call.patch.policy?.issuers ?? []
  if (wanted.length === 0) applyPatch(parts, call)
  else {
    // Between a claim and its commit no report may tell the Account that the tenant does not have the issuer.
    await parts.serial.run(ISSUERS, async () => {
      await claimIssuers(parts, wanted)
      applyPatch(parts, call)
    })
  }
  await publish(parts)
  return describeTenant(parts)
}

function applyPatch(parts: TenantParts, call: TenantPatchCall): void {
  const { patch, ifMatch } = call
  parts.transact(() => {
    const before = requireNotDeleting(parts)
    if (ifMatch !== undefined && ifMatch !== before.version) throw new BrokerError('version_mismatch')
    const chosen = patch.policy === undefined ? before.chosen : mergePolicy(before.chosen, patch.policy)
    const sound = soundPolicy(parts, chosen)
    parts.sql.exec(
      'UPDATE tenant SET name = ?, status = ?, policy = ?',
      patch.name ?? before.name,
      patch.status ?? before.status,
      JSON.stringify(sound),
    )
    recordChange(parts, call, 'tenant.update')
  })
}

/** An issuer belongs to one tenant, and the Account knows whose it is. What is claimed and then not chosen is freed by the mirror. */
async function claimIssuers(parts: TenantParts, wanted: readonly IssuerPair[]): Promise<void> {
  const { id } = requireNotDeleting(parts)
  parts.transact(() => parts.jobs.put(MIRROR_JOB, '', parts.now() + FREE_AFTER_MS))
  unwrap(await parts.account().claimIssuers(id, wanted.map(pairOf)))
}

/** The choices, if they hold together; a default key that was replaced since is stored as the one that replaced it. */
function soundPolicy(parts: TenantParts, chosen: PolicyPatch): PolicyPatch {
  requireSoundPolicy(chosen)
  if (!chosen.defaultKeyId) return chosen
  const key = mintingKey(parts.sql, chosen.defaultKeyId)
  if (!key) throw new BrokerError('invalid_request', { detail: 'policy.defaultKeyId: no such TURN key' })
  return { ...chosen, defaultKeyId: key.uid }
}
