/** The tenant's snapshot as the browser door needs it: from this isolate, from KV, or from the Tenant itself. */
import { isFresh, readEntry, snapshotKey, TenantSnapshot } from '../../cache/entries.ts'
import { within } from '../../concurrency/deadline.ts'
import { BrokerError } from '../../errors.ts'
import type { Ctx } from '../context.ts'
import { ASKING_MS } from '../isolateCache.ts'
import { call, tenantExists, tenantObject } from '../objects.ts'

/**
 * Confirmed within the minute; `undefined` when there is no such tenant. Anybody can cause this, with any name: parallel
 * requests for one tenant share one look-up. A follower waits 2 s for it, then looks up by itself, because the request
 * that began it may have been cancelled. An absence is not remembered (the tenant may be created the next
 * moment), and absences are not counted: once no more were allowed, the answer would tell which tenants there are.
 */
export function tenantSnapshot(c: Ctx, tenant: string): Promise<TenantSnapshot | undefined> {
  const { asking, snapshots } = c.get('edge')
  const remembered = snapshots.get(tenant)
  if (remembered && isFresh(remembered, Date.now())) return Promise.resolve(remembered)
  const running = asking.get(tenant)
  return running ? within(ASKING_MS, running, () => sharedLookUp(c, tenant)) : sharedLookUp(c, tenant)
}

/** Begins a look-up that later requests may join. */
function sharedLookUp(c: Ctx, tenant: string): Promise<TenantSnapshot | undefined> {
  const { asking } = c.get('edge')
  const work = lookUp(c, tenant).finally(() => asking.forget(tenant, work))
  asking.set(tenant, work)
  // Keeps the look-up alive for its followers when its own caller hangs up.
  c.executionCtx.waitUntil(work.catch(() => undefined))
  return work
}

async function lookUp(c: Ctx, tenant: string): Promise<TenantSnapshot | undefined> {
  const known = await knownSnapshot(c, tenant)
  if (known && isFresh(known, Date.now())) return known
  return known || (await tenantExists(c, tenant)) ? askedSnapshot(c, tenant) : undefined
}

/** What this isolate, else KV, holds of the tenant, however old. */
export async function knownSnapshot(c: Ctx, tenant: string): Promise<TenantSnapshot | undefined> {
  const { snapshots } = c.get('edge')
  const remembered = snapshots.get(tenant)
  if (remembered && isFresh(remembered, Date.now())) return remembered
  const entry = await readEntry(c.env.CACHE, TenantSnapshot, { key: snapshotKey(tenant), tenant })
  if (entry && isFresh(entry, Date.now())) snapshots.set(tenant, entry)
  return entry
}

/** As the Tenant says it now; `undefined` when it is being deleted. Only for a tenant that is known to exist. */
export async function askedSnapshot(c: Ctx, tenant: string): Promise<TenantSnapshot | undefined> {
  try {
    const snapshot = await call(tenantObject(c, tenant).edgeSnapshot())
    c.get('edge').snapshots.set(tenant, snapshot)
    return snapshot
  } catch (error) {
    if (error instanceof BrokerError && error.failure.code === 'not_found') return
    throw error
  }
}
