/**
 * A tenant's storage set back to an earlier time, or set up anew where it was lost. The Account leads, because the tenant's
 * own memory of it goes: audit row and job are here, and the job brings the tenant back when a crash interrupts.
 */

import { actorOf } from '../../auth/caller.ts'
import type { RestoredTenant, TenantView } from '../../contract/resources/tenants.ts'
import { BrokerError, unwrap } from '../../errors.ts'
import type { Call } from '../../rpc/calls.ts'
import { audit } from '../../storage/audit.ts'
import type { AccountParts } from '../core/context.ts'
import { setUpTenant, type TenantRow, tenantRow } from './directory.ts'

export const RESTORE_JOB = 'restore-tenant'
const TAKEOVER_MS = 30_000

export interface Restoration extends Call {
  readonly tenant: string
  /** `null`: the storage was lost. */
  readonly at: number | null
}

export async function restoreTenant(parts: AccountParts, call: Restoration): Promise<RestoredTenant> {
  const { tenant, at } = call
  requireRestorable(parts, tenant)
  const bookmarks = at === null ? null : unwrap(await objectOf(parts, tenant).bookmarksAt(at))
  if (!bookmarks) await requireLost(parts, tenant)
  const event = { actor: actorOf(call.caller), action: 'tenant.restore', target: tenant, requestId: call.requestId }
  parts.transact(() => {
    requireRestorable(parts, tenant)
    audit(parts.sql, parts.now(), { ...event, outcome: 'begun' })
    parts.jobs.put(RESTORE_JOB, tenant, parts.now() + TAKEOVER_MS)
  })
  if (bookmarks) await setBack(parts, tenant, bookmarks.to)
  else await setUpTenant(parts, tenant)
  return { tenant: await bringBack(parts, tenant, call), undo: bookmarks?.undo ?? null }
}

/** The job's part, where a crash interrupted. A tenant that was deleted meanwhile is not brought back. */
export async function carryOnRestoring(parts: AccountParts, tenant: string): Promise<void> {
  if (isRestorable(tenantRow(parts, tenant))) await bringBack(parts, tenant)
}

/** The end of it. Where it cannot be known whether the tenant is back, the job asks again. */
async function bringBack(parts: AccountParts, tenant: string, by?: Call): Promise<TenantView> {
  const { version } = requireRestorable(parts, tenant)
  const answer = await objectOf(parts, tenant)
    .comeBack({ by, version })
    .catch(() => ({ ok: false, failure: { code: 'storage_failed' } }) as const)
  // What was lost and never set up is not there to come back.
  const back = !answer.ok && answer.failure.code === 'not_found' ? null : unwrap(answer)
  const outcome = back ? { outcome: 'done' as const } : { outcome: 'failed' as const, code: 'storage_failed' }
  parts.transact(() => {
    audit(parts.sql, parts.now(), { actor: 'broker', action: 'tenant.restore', target: tenant, ...outcome })
    parts.jobs.remove(RESTORE_JOB, tenant)
  })
  if (!back) throw new BrokerError('storage_failed', { detail: 'The storage was not set back.' })
  return back
}

/** The object ends itself: no answer is the right one. */
async function setBack(parts: AccountParts, tenant: string, to: string): Promise<void> {
  try {
    unwrap(await objectOf(parts, tenant).setBack(to))
  } catch (error) {
    if (!(error instanceof BrokerError)) return
    parts.transact(() => parts.jobs.remove(RESTORE_JOB, tenant))
    throw error
  }
}

async function requireLost(parts: AccountParts, tenant: string): Promise<void> {
  const there = await objectOf(parts, tenant).edgeSnapshot()
  if (there.ok)
    throw new BrokerError('conflict', { detail: 'The storage is there: say to which time it is to be set back.' })
  if (there.failure.code !== 'not_found') unwrap(there)
}

function requireRestorable(parts: AccountParts, tenant: string) {
  const row = tenantRow(parts, tenant)
  if (!isRestorable(row)) {
    throw new BrokerError('conflict', { detail: 'Only a tenant that is active or suspended can be restored.' })
  }
  return row
}

const isRestorable = (row: TenantRow | undefined): row is TenantRow =>
  row?.state === 'active' || row?.state === 'suspended'

/** A new one each time: that of an object that has ended is of no use. */
const objectOf = (parts: AccountParts, tenant: string) => parts.tenant(tenant)
