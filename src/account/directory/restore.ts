/**
 * Restore: sets a tenant's storage back to an earlier time, or sets the tenant up again if its storage was lost. The
 * Account leads, because the Tenant's own rows are replaced: the audit row and the job that finishes after a crash are
 * here.
 */

import { actorOf } from '../../auth/caller.ts'
import type { RestoredTenant, TenantView } from '../../contract/resources/tenants.ts'
import { BrokerError, type Result, unwrap } from '../../errors.ts'
import type { Call } from '../../rpc/calls.ts'
import { audit } from '../../storage/audit.ts'
import type { AccountContext } from '../core/context.ts'
import { setUpTenant, type TenantRow, tenantRow } from './directory.ts'
import { erasedSubjects } from './erasures.ts'

export const RESTORE_JOB = 'restore-tenant'
const TAKEOVER_MS = 30_000

export interface Restoration extends Call {
  readonly tenant: string
  /** Milliseconds since 1970; `null`: the storage was lost. */
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
  if (bookmarks) await restartFromBookmark(ctx, tenant, bookmarks.to)
  else await setUpTenant(ctx, tenant)
  return { tenant: await finishRestore(ctx, tenant, call), undo: bookmarks?.undo ?? null }
}

/** Job: finishes a restore after a crash. A tenant that was deleted meanwhile is not restored. */
export async function resumeRestore(ctx: AccountContext, tenant: string): Promise<void> {
  if (isRestorable(tenantRow(ctx, tenant))) await finishRestore(ctx, tenant)
}

/** Until the restore is finished: the tenant's object, when it starts, answers no caller. */
export const isBeingRestored = ({ jobs }: AccountContext, tenant: string): boolean =>
  jobs.dueAt(RESTORE_JOB, tenant) !== undefined

/** Repeats the erasures, checks that the tenant is back and reports it. If a call breaks, the job does all of it again. */
async function finishRestore(ctx: AccountContext, tenant: string, by?: Call): Promise<TenantView> {
  await eraseAgain(ctx, tenant)
  const { version } = requireRestorable(ctx, tenant)
  const answer = await whole(() => objectOf(ctx, tenant).comeBack({ by, version }))
  // `not_found`: the storage was lost and the set-up did not happen.
  const restored = !answer.ok && answer.failure.code === 'not_found' ? null : unwrap(answer)
  const outcome = restored ? { outcome: 'done' as const } : { outcome: 'failed' as const, code: 'storage_failed' }
  ctx.transact(() => {
    audit(ctx.sql, ctx.now(), { actor: 'broker', action: 'tenant.restore', target: tenant, ...outcome })
    ctx.jobs.remove(RESTORE_JOB, tenant)
  })
  if (!restored)
    throw new BrokerError('storage_failed', { detail: 'The storage was not restored; repeat the request.' })
  return restored
}

/** Page by page. While the storage is lost there is nothing to erase: `comeBack` says so too. */
async function eraseAgain(ctx: AccountContext, tenant: string): Promise<void> {
  let ids = erasedSubjects(ctx.sql, tenant, '')
  for (let last = ids.at(-1); last !== undefined; last = ids.at(-1)) {
    const page = ids
    const answer = await whole(() => objectOf(ctx, tenant).eraseAgain(page))
    if (!answer.ok && answer.failure.code === 'not_found') return
    unwrap(answer)
    // Many pages take longer than the request has: the job waits for as long as this works.
    if (isBeingRestored(ctx, tenant)) ctx.transact(() => ctx.jobs.put(RESTORE_JOB, tenant, ctx.now() + TAKEOVER_MS))
    ids = erasedSubjects(ctx.sql, tenant, last)
  }
}

/** A call that broke is a failure like another. */
const whole = <T>(call: () => Promise<Result<T>>): Promise<Result<T>> =>
  call().catch(() => ({ ok: false, failure: { code: 'storage_failed' } }) as const)

/** The object aborts itself and restarts from the bookmark, so the RPC is expected to break. */
async function restartFromBookmark(ctx: AccountContext, tenant: string, to: string): Promise<void> {
  try {
    unwrap(await objectOf(ctx, tenant).setBack(to))
  } catch (error) {
    if (!(error instanceof BrokerError)) return
    ctx.transact(() => ctx.jobs.remove(RESTORE_JOB, tenant))
    throw error
  }
}

async function requireLost(ctx: AccountContext, tenant: string): Promise<void> {
  const snapshot = await objectOf(ctx, tenant).edgeSnapshot()
  if (snapshot.ok)
    throw new BrokerError('conflict', {
      detail: 'at: is required, because the storage is not lost; send the time to restore to.',
    })
  if (snapshot.failure.code !== 'not_found') unwrap(snapshot)
}

function requireRestorable(ctx: AccountContext, tenant: string) {
  const row = tenantRow(ctx, tenant)
  if (!isRestorable(row)) {
    throw new BrokerError('conflict', { detail: 'The tenant must be active or suspended to be restored.' })
  }
  return row
}

const isRestorable = (row: TenantRow | undefined): row is TenantRow =>
  row?.state === 'active' || row?.state === 'suspended'

/** A new stub each time: the stub of an aborted object stays broken. */
const objectOf = (ctx: AccountContext, tenant: string) => ctx.tenant(tenant)
