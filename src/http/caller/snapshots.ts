/** The tenant's snapshot for the browser door: from this isolate, from KV, or from the Tenant. */
import { isFresh, readEntry, snapshotKey, TenantSnapshot } from '../../cache/entries.ts'
import { BrokerError } from '../../errors.ts'
import type { Ctx } from '../context.ts'
import { call, tenantExists, tenantObject } from '../objects.ts'

/**
 * A fresh snapshot (confirmed within 60 s); `undefined` if the tenant does not exist. Anyone can trigger this look-up
 * with any name, so it is single-flight for each tenant. An absence is not cached, because the tenant may be created at
 * any moment. Absences are not rate-limited either: the limit would reveal which tenants exist.
 */
export function tenantSnapshot(c: Ctx, tenant: string): Promise<TenantSnapshot | undefined> {
  const { snapshotLookUps, snapshots } = c.get('isolateCache')
  const cached = snapshots.get(tenant)
  if (cached && isFresh(cached, Date.now())) return Promise.resolve(cached)
  const running = snapshotLookUps.get(tenant)
  if (running) return running
  const started = lookUp(c, tenant).finally(() => snapshotLookUps.forget(tenant, started))
  snapshotLookUps.set(tenant, started)
  // Keeps the look-up alive if this caller disconnects: other requests may wait for it.
  c.executionCtx.waitUntil(started.catch(() => undefined))
  return started
}

async function lookUp(c: Ctx, tenant: string): Promise<TenantSnapshot | undefined> {
  const cached = await cachedSnapshot(c, tenant)
  if (cached && isFresh(cached, Date.now())) return cached
  return cached || (await tenantExists(c, tenant)) ? fetchSnapshot(c, tenant) : undefined
}

/** The snapshot cached in this isolate, else the one in KV, of any age. Calls no object. */
export async function cachedSnapshot(c: Ctx, tenant: string): Promise<TenantSnapshot | undefined> {
  const { snapshots } = c.get('isolateCache')
  const cached = snapshots.get(tenant)
  if (cached && isFresh(cached, Date.now())) return cached
  const entry = await readEntry(c.env.CACHE, TenantSnapshot, { key: snapshotKey(tenant), tenant })
  if (entry && isFresh(entry, Date.now())) snapshots.set(tenant, entry)
  return entry
}

/** The Tenant's current snapshot; `undefined` if it is being deleted. Only for a tenant that is known to exist. */
export async function fetchSnapshot(c: Ctx, tenant: string): Promise<TenantSnapshot | undefined> {
  try {
    const snapshot = await call(tenantObject(c, tenant).edgeSnapshot())
    c.get('isolateCache').snapshots.set(tenant, snapshot)
    return snapshot
  } catch (error) {
    if (error instanceof BrokerError && error.failure.code === 'not_found') return
    throw error
  }
}
