/** The tenant's snapshot for the browser door: from this isolate, from KV, or from the Tenant. */
import { isFresh, readEntry, snapshotKey, TenantSnapshot } from '../../cache/entries.ts'
import { within } from '../../concurrency/deadline.ts'
import { BrokerError } from '../../errors.ts'
import type { Ctx } from '../context.ts'
import { LOOK_UP_MS } from '../isolateCache.ts'
import { call, tenantExists, tenantObject } from '../objects.ts'
import { limitExistenceQuestions } from './rateLimits.ts'

/**
 * A fresh snapshot (confirmed within 60 s); `undefined` if the tenant does not exist. Anyone can trigger this look-up with
 * any name, so parallel requests for one tenant share it, and that there is no such tenant is believed for 5 s.
 */
export function tenantSnapshot(c: Ctx, tenant: string): Promise<TenantSnapshot | undefined> {
  const { snapshotLookUps, snapshots } = c.get('isolateCache')
  const remembered = snapshots.get(tenant)
  if (remembered && isFresh(remembered, Date.now())) return Promise.resolve(remembered)
  return snapshotLookUps.get(tenant, () => lookUp(c, tenant), waitUntil(c))
}

async function lookUp(c: Ctx, tenant: string): Promise<TenantSnapshot | undefined> {
  const cached = await cachedSnapshot(c, tenant)
  if (cached && isFresh(cached, Date.now())) return cached
  return cached || (await strangersTenantExists(c, tenant)) ? fetchSnapshot(c, tenant) : undefined
}

/**
 * Whether the tenant exists, for a request whose token does not prove that. All such questions of the Account together have a
 * small rate, because each may name another tenant. Throws `rate_limited`.
 */
export async function strangersTenantExists(c: Ctx, tenant: string): Promise<boolean> {
  if (c.get('isolateCache').tenants.get(tenant)) return true
  await limitExistenceQuestions(c)
  return tenantExists(c, tenant)
}

/** The snapshot cached in this isolate, else the one in KV, of any age. KV is read once in 5 s for a tenant. Calls no object. */
export async function cachedSnapshot(c: Ctx, tenant: string): Promise<TenantSnapshot | undefined> {
  const { snapshots, snapshotReads } = c.get('isolateCache')
  const cached = snapshots.get(tenant)
  if (cached && isFresh(cached, Date.now())) return cached
  const read = () => readEntry(c.env.CACHE, TenantSnapshot, { key: snapshotKey(tenant), tenant })
  const entry = await snapshotReads.get(tenant, read, waitUntil(c))
  if (entry && isFresh(entry, Date.now())) snapshots.set(tenant, entry)
  return entry
}

/**
 * A fresh snapshot that `suits`: of this isolate, else the one in KV now. For requests whose token proves itself: unlike
 * `cachedSnapshot` it reads KV again at once, so that what the Tenant has just written is seen.
 */
export async function suitingSnapshot(
  c: Ctx,
  tenant: string,
  suits: (snapshot: TenantSnapshot) => boolean,
): Promise<TenantSnapshot | undefined> {
  const { snapshots } = c.get('isolateCache')
  const cached = snapshots.get(tenant)
  if (cached && isFresh(cached, Date.now()) && suits(cached)) return cached
  const entry = await readEntry(c.env.CACHE, TenantSnapshot, { key: snapshotKey(tenant), tenant })
  if (!entry || !isFresh(entry, Date.now())) return
  if (!cached || entry.confirmedAt > cached.confirmedAt) snapshots.set(tenant, entry)
  return suits(entry) ? entry : undefined
}

const waitUntil = (c: Ctx) => (work: Promise<unknown>) => c.executionCtx.waitUntil(work)

/**
 * The Tenant's current snapshot; `undefined` if it is being deleted. Only for a tenant that is known to exist. Counts as a
 * recheck: what the Tenant has just said is not asked again.
 */
function fetchSnapshot(c: Ctx, tenant: string): Promise<TenantSnapshot | undefined> {
  const work = askForSnapshot(c, tenant)
  const answered = work.catch(() => undefined)
  c.get('isolateCache').snapshotRechecks.set(tenant, answered)
  // Keeps the question alive for its followers when its own caller hangs up.
  c.executionCtx.waitUntil(answered)
  return work
}

async function askForSnapshot(c: Ctx, tenant: string): Promise<TenantSnapshot | undefined> {
  try {
    const snapshot = await call(tenantObject(c, tenant).edgeSnapshot())
    c.get('isolateCache').snapshots.set(tenant, snapshot)
    return snapshot
  } catch (error) {
    if (error instanceof BrokerError && error.failure.code === 'not_found') return
    throw error
  }
}

/**
 * A snapshot refuses an origin or a JWT: the policy may have got it since. Asks the Tenant once in 5 s for each tenant, however
 * many ask, and answers what it knows when the Tenant does not answer.
 */
export async function recheckedSnapshot(c: Ctx, tenant: string, known: TenantSnapshot): Promise<TenantSnapshot> {
  const asked = c.get('isolateCache').snapshotRechecks.get(tenant) ?? fetchSnapshot(c, tenant).catch(() => undefined)
  return within(
    LOOK_UP_MS,
    asked.then((snapshot) => snapshot ?? known),
    () => known,
  )
}

/**
 * A newer snapshot than the one of this version: the Tenant refused what that one allowed. `undefined` if there is none. Not
 * limited in time: only a request that the older policy let in leads here.
 */
export async function snapshotAfter(c: Ctx, tenant: string, version: number): Promise<TenantSnapshot | undefined> {
  const { snapshots, snapshotRefreshes } = c.get('isolateCache')
  const fetch = () => askForSnapshot(c, tenant)
  const newer = (snapshot: TenantSnapshot | undefined) =>
    snapshot && snapshot.version > version ? snapshot : undefined
  const shared = newer(snapshots.get(tenant)) ?? newer(await snapshotRefreshes.get(tenant, fetch, waitUntil(c)))
  // What was shared may have been asked before the change.
  return shared ?? newer(await fetch())
}
