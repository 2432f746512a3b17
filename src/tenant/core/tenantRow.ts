/** The tenant's one row: read here by everybody, written by lifecycle.ts and changes.ts. */
import { effectivePolicy, type Policy, type PolicyPatch } from '../../contract/policy/policy.ts'
import type { Region, TenantStatus } from '../../contract/resources/tenants.ts'
import { BrokerError } from '../../errors.ts'
import type { TenantContext } from './context.ts'

export interface TenantRecord {
  readonly id: string
  readonly name: string
  readonly region: Region
  readonly status: TenantStatus
  /** Grows with every change an operator sees. */
  readonly version: number
  /** Grows whenever something a mint in flight rests on was taken away. */
  readonly epoch: number
  readonly chosen: PolicyPatch
  readonly policy: Policy
  readonly createdAt: number
  readonly modifiedAt: number
}

interface Row extends Record<string, SqlStorageValue> {
  id: string
  name: string
  region: Region
  status: TenantStatus
  policy: string
  version: number
  epoch: number
  created_at: number
  modified_at: number
}

export function tenantRecord(ctx: Pick<TenantContext, 'sql'>): TenantRecord {
  const row = ctx.sql.exec<Row>('SELECT * FROM tenant').one()
  const chosen = JSON.parse(row.policy) as PolicyPatch // written by initTenant and patchTenant only
  const { id, name, region, status, version, epoch } = row
  const policy = policyOf(row.policy, chosen)
  return {
    id,
    name,
    region,
    status,
    version,
    epoch,
    chosen,
    policy,
    createdAt: row.created_at,
    modifiedAt: row.modified_at,
  }
}

/** Choices rarely change and are asked for several times a mint: the last ones seen are kept, checked and merged. */
const policies = new Map<string, Policy>()
const MAX_POLICIES = 200

function policyOf(text: string, chosen: PolicyPatch): Policy {
  const known = policies.get(text)
  if (known) return known
  const policy = effectivePolicy(chosen)
  if (policies.size >= MAX_POLICIES) policies.clear()
  policies.set(text, policy)
  return policy
}

/** What is being deleted takes no changes. */
export function requireNotDeleting(ctx: Pick<TenantContext, 'sql'>): TenantRecord {
  const record = tenantRecord(ctx)
  if (record.status === 'deleting') throw new BrokerError('conflict', { detail: 'The tenant is being deleted.' })
  return record
}

/** What a suspended tenant may not do either: mints, client tokens, creations. */
export function requireActive(ctx: Pick<TenantContext, 'sql'>): TenantRecord {
  const record = requireNotDeleting(ctx)
  if (record.status === 'suspended') throw new BrokerError('tenant_suspended')
  return record
}
