/**
 * The tenant's one row. Only this file reads and writes the table `tenant`. `version` counts what an operator sees;
 * `epoch` counts what a mint in flight must look at again before it commits. Writers run inside a transaction.
 */
import { effectivePolicy, type Policy, type PolicyPatch } from '../../contract/policy/policy.ts'
import type { Region, TenantStatus } from '../../contract/resources/tenants.ts'
import { BrokerError } from '../../errors.ts'
import type { TenantSetUp } from '../../rpc/tenants.ts'
import type { TenantContext } from './context.ts'
import { Remembered } from './remembered.ts'

export interface TenantRecord {
  readonly id: string
  readonly name: string
  readonly region: Region
  readonly status: TenantStatus
  /** Grows with every change an operator sees. */
  readonly version: number
  /** Grows whenever something that a mint in flight rests on was taken away. */
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

type Sql = Pick<TenantContext, 'sql'>

const records = new Remembered<'tenant', TenantRecord>(1)

/** The row, read once after each change. Throws before the object is set up. */
export const tenantRecord = ({ sql }: Sql): TenantRecord => records.get(sql, 'tenant', () => readRecord(sql))

function readRecord(sql: SqlStorage): TenantRecord {
  const row = sql.exec<Row>('SELECT * FROM tenant').one()
  const chosen = JSON.parse(row.policy) as PolicyPatch // every writer below takes a PolicyPatch
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

/** The tenant's id. Throws before the object is set up. */
export const tenantId = (ctx: Sql): string => tenantRecord(ctx).id

/** A policy is merged with its defaults and checked once for each text: a mint asks for it several times. */
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

/** The record; throws `conflict` while the tenant is being deleted: it then takes no changes. */
export function requireNotDeleting(ctx: Sql): TenantRecord {
  const record = tenantRecord(ctx)
  if (record.status === 'deleting') throw new BrokerError('conflict', { detail: 'The tenant is being deleted.' })
  return record
}

/** The record; throws `tenant_suspended` too: mints, client tokens and creations stop while a tenant is suspended. */
export function requireActive(ctx: Sql): TenantRecord {
  const record = requireNotDeleting(ctx)
  if (record.status === 'suspended') throw new BrokerError('tenant_suspended')
  return record
}

/** Writes the row when the object is set up; a repeat changes nothing. */
export function insertTenant({ sql }: Sql, setUp: TenantSetUp): void {
  records.forget(sql)
  sql.exec(
    `INSERT INTO tenant (one, id, name, region, status, policy, version, epoch, created_at, modified_at)
       VALUES (1, ?, ?, ?, 'active', ?, 1, 1, ?, ?) ON CONFLICT DO NOTHING`,
    setUp.id,
    setUp.name,
    setUp.region,
    JSON.stringify(setUp.policy),
    setUp.createdAt,
    setUp.createdAt,
  )
}

/** What an operator may change. The caller raises the version. */
export function changeTenant(
  { sql }: Sql,
  { name, status, chosen }: Pick<TenantRecord, 'name' | 'status' | 'chosen'>,
): void {
  records.forget(sql)
  sql.exec('UPDATE tenant SET name = ?, status = ?, policy = ?', name, status, JSON.stringify(chosen))
}

/** For what the broker changes in a policy by itself: the default key after a rotation or a removal. */
export function setPolicy({ sql }: Sql, chosen: PolicyPatch): void {
  records.forget(sql)
  sql.exec('UPDATE tenant SET policy = ?', JSON.stringify(chosen))
}

export function markDeleting({ sql }: Sql): void {
  records.forget(sql)
  sql.exec("UPDATE tenant SET status = 'deleting'")
}

/** Something was taken away: mints in flight check their eligibility again before they commit. */
export function raiseEpoch({ sql }: Sql): void {
  records.forget(sql)
  sql.exec('UPDATE tenant SET epoch = epoch + 1')
}

/** Others know the tenant by its version: it grows with every change that they must hear of. Raises the epoch too. */
export function raiseVersion({ sql }: Sql, now: number): void {
  records.forget(sql)
  sql.exec('UPDATE tenant SET version = version + 1, epoch = epoch + 1, modified_at = ?', now)
}

/** After a restore: the Account and the edge know of later versions, and believe only a greater one. */
export function skipToVersion({ sql }: Sql, version: number): void {
  records.forget(sql)
  sql.exec('UPDATE tenant SET version = ?, epoch = epoch + 1', version)
}

/** A restored tenant: at least this version, and suspended until an operator has looked. */
export function comeBackSuspended({ sql }: Sql, version: number): void {
  records.forget(sql)
  sql.exec('UPDATE tenant SET version = max(version, ?)', version)
  sql.exec("UPDATE tenant SET status = 'suspended' WHERE status = 'active'")
}
