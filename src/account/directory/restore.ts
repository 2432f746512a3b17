/**
 * A tenant's storage set back to an earlier time, or set up anew where it was lost. The Account leads, because the tenant's
 * own memory of it goes: audit row and job are here, and the job brings the tenant back when a crash interrupts.
 */

import { actorOf } from '../../auth/caller.ts'
import type { RestoredTenant, TenantView } from '../../contract/resources/tenants.ts'
import { BrokerError, unwrap } from '../../errors.ts'
import type { Call } from '../../rpc/calls.ts'
import { audit } from '../../storage/audit.ts'
import type { AccountContext } from '../core/context.ts'
import { setUpTenant, type TenantRow, tenantRow } from './directory.ts'

export const RESTORE_JOB = 'restore-tenant'
const TAKEOVER_MS = 30_000

export interface Restoration extends Call {
  readonly tenant: string
  /** `null`: the storage was lost. */
  readonly at: number | null
}

export async function restoreTenant(ctx: AccountContext, call: Restoration): Promise<RestoredTenant> {
  const { tenant, at } = call
  requireRestorable(ctx, tenant)
  const bookmarks = at === null ? null : unwrap(await objectOf(ctx, tenant).bookmarksAt(at))
  if (!bookmarks) await requireLost(ctx, tenant)
  const { caller, requestId } = call
  const event = { actor: actorOf(caller), action: 'tenant.restore', target: tenant, requestId } as const
  ctx.transact(() => {
    requireRestorable(ctx, tenant)
    audit(ctx.sql, ctx.now(), { ...event, outcome: 'begun' })
    ctx.jobs.put(RESTORE_JOB, tenant, ctx.now() + TAKEOVER_MS)
  })
  if (bookmarks) await setBack(ctx, tenant, bookmarks.to)
  else await setUpTenant(ctx, tenant)
  return { tenant: await bringBack(ctx, tenant, call), undo: bookmarks?.undo ?? null }
}

/** The job's part, where a crash interrupted. A tenant that was deleted meanwhile is not brought back. */
export async function resumeRestore(ctx: AccountContext, tenant: string): Promise<void> {
  if (isRestorable(tenantRow(ctx, tenant))) await bringBack(ctx, tenant)
}

/** The end of it. Where it cannot be known whether the tenant is back, the job asks again. */
async function bringBack(ctx: AccountContext, tenant: string, by?: Call): Promise<TenantView> {
  const { version } = requireRestorable(ctx, tenant)
  const answer = await objectOf(ctx, tenant)
    .comeBack({ by, version })
    .catch(() => ({ ok: false, failure: { code: 'storage_failed' } }) as const)
  // What was lost and never set up is not there to come back.
  const back = !answer.ok && answer.failure.code === 'not_found' ? null : unwrap(answer)
  const outcome = back ? { outcome: 'done' as const } : { outcome: 'failed' as const, code: 'storage_failed' }
  ctx.transact(() => {
    audit(ctx.sql, ctx.now(), { actor: 'broker', action: 'tenant.restore', target: tenant, ...outcome })
    ctx.jobs.remove(RESTORE_JOB, tenant)
  })
  if (!back) throw new BrokerError('storage_failed', { detail: 'The storage was not set back.' })
  return back
}

/** The object ends itself: no answer is the right one. */
async function setBack(ctx: AccountContext, tenant: string, to: string): Promise<void> {
  try {
    unwrap(await objectOf(ctx, tenant).setBack(to))
  } catch (error) {
    if (!(error instanceof BrokerError)) return
    ctx.transact(() => ctx.jobs.remove(RESTORE_JOB, tenant))
    throw error
  }
}

async function requireLost(ctx: AccountContext, tenant: string): Promise<void> {
  const there = await objectOf(ctx, tenant).edgeSnapshot()
  if (there.ok)
    throw new BrokerError('conflict', { detail: 'The storage is there: say to which time it is to be set back.' })
  if (there.failure.code !== 'not_found') unwrap(there)
}

function requireRestorable(ctx: AccountContext, tenant: string) {
  const row = tenantRow(ctx, tenant)
  if (!isRestorable(row)) {
    throw new BrokerError('conflict', { detail: 'Only a tenant that is active or suspended can be restored.' })
  }
  return row
}

const isRestorable = (row: TenantRow | undefined): row is TenantRow =>
  row?.state === 'active' || row?.state === 'suspended'

/** A new one each time: that of an object that has ended is of no use. */
const objectOf = (ctx: AccountContext, tenant: string) => ctx.tenant(tenant)
