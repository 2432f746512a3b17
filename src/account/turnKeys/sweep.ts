/**
 * The sweep reconciles Cloudflare's list of keys with the tenants, once an hour and when an operator orders it. The
 * Account lists the keys and groups them by tenant. Only a Tenant decides about its keys and deletes orphans. Keys that
 * no tenant knows are reported and never changed. A run is split into shares, so that other jobs are not delayed.
 */

import { actorOf } from '../../auth/caller.ts'
import type { ListedKey as UpstreamKey } from '../../cloudflare/turnKeys.ts'
import { within } from '../../concurrency/deadline.ts'
import type { FindingClass, SweepView } from '../../contract/resources/account.ts'
import type { Result } from '../../errors.ts'
import type { Call } from '../../rpc/calls.ts'
import type { ReconcileOrder, Reconciliation, SweptKey } from '../../rpc/sweep.ts'
import { audit } from '../../storage/audit.ts'
import type { JobOutcome } from '../../storage/jobs.ts'
import * as log from '../../storage/log.ts'
import { deleteOldCreations, tenantOfCreation } from '../budget/creations.ts'
import type { AccountContext } from '../core/context.ts'
import { isTenant } from '../directory/directory.ts'
import { ownerOfTurnKey, tenantsWithKeys } from '../directory/keyOwners.ts'
import { carryOverFindings, deleteStaleFindings, type Finding, recordFindings } from './findings.ts'
import { isAnythingToSweep, SWEEP_EVERY_MS, SWEEP_JOB, sweepRow, sweepView } from './sweepRows.ts'
import type { Listed, UpstreamList } from './upstreamList.ts'

/** When a run has used up its checks, the next run starts after this. */
const NEXT_RUN_AFTER_MS = 300_000
const TENANTS_A_SHARE = 25
const TENANTS_AT_ONCE = 5
const TENANT_DEADLINE_MS = 30_000
/** Keys that are not listed are checked one by one. The limits keep an incomplete list from spending the budget. */
const CHECKS_A_RUN = 60
const CHECKS_A_TENANT = 5

const MARKER = /^tb\.([a-z0-9]{4,16})\.([0-9A-Za-z]{17})( |$)/

/** Orders a sweep now, for an operator. */
export function orderSweep(ctx: AccountContext, call: Call): SweepView {
  ctx.transact(() => {
    ctx.jobs.put(SWEEP_JOB, '', ctx.now())
    ctx.sql.exec("UPDATE sweep SET state = 'ordered' WHERE state <> 'running'")
    const { caller, requestId } = call
    audit(ctx.sql, ctx.now(), { actor: actorOf(caller), action: 'account.sweep', outcome: 'done', requestId })
  })
  return sweepView(ctx)
}

/** Job: one share of a run, at most 25 tenants. */
export async function sweep(ctx: AccountContext, list: UpstreamList): Promise<JobOutcome> {
  const run = startOrResume(ctx)
  let listed: Listed
  try {
    listed = await list.all(ctx)
  } catch {
    ctx.transact(() => ctx.sql.exec("UPDATE sweep SET state = 'failed', ended_at = ?", ctx.now()))
    return 'retry'
  }
  const { byTenant, unowned, intents } = groupByTenant(ctx, listed.keys)
  if (run.next === '') ctx.transact(() => recordFindings(ctx.sql, unowned, run.id))

  const { share, last, goesOn } = nextShare(ctx, byTenant, run.next)
  for (let first = 0; first < share.length; first += TENANTS_AT_ONCE) {
    const group = share.slice(first, first + TENANTS_AT_ONCE)
    await Promise.all(
      group.map((id) => reconcileTenant(ctx, id, { run: run.id, listed, keys: byTenant.get(id) ?? [] })),
    )
  }
  if (goesOn) {
    ctx.transact(() => ctx.sql.exec('UPDATE sweep SET next = ?', last))
    return { againAt: ctx.now() }
  }
  return finishRun(ctx, run.id, intents)
}

/** Starts a run, or resumes an interrupted one after the last tenant that was asked. */
function startOrResume(ctx: AccountContext): { readonly id: number; readonly next: string } {
  return ctx.transact(() => {
    const { state, begun_at, next } = sweepRow(ctx.sql)
    if (state === 'running' && begun_at !== null) return { id: begun_at, next }
    const id = Math.max(ctx.now(), (begun_at ?? 0) + 1)
    ctx.sql.exec(
      "UPDATE sweep SET state = 'running', begun_at = ?, ended_at = NULL, next = '', asked = 0, failed = 0, checks_left = ?",
      id,
      CHECKS_A_RUN,
    )
    return { id, next: '' }
  })
}

function finishRun(ctx: AccountContext, run: number, intents: ReadonlySet<string>): JobOutcome {
  return ctx.transact(() => {
    deleteStaleFindings(ctx.sql, run)
    deleteOldCreations(ctx.sql, ctx.now(), intents)
    ctx.sql.exec("UPDATE sweep SET state = 'done', ended_at = ?, next = ''", ctx.now())
    if (sweepRow(ctx.sql).checks_left <= 0) return { againAt: ctx.now() + NEXT_RUN_AFTER_MS }
    return isAnythingToSweep(ctx.sql) ? { againAt: ctx.now() + SWEEP_EVERY_MS } : 'done'
  })
}

/** Groups keys by owner (an imported key has no marker), else by the tenant of the marker's intent. */
function groupByTenant(ctx: AccountContext, keys: readonly UpstreamKey[]) {
  const byTenant = new Map<string, SweptKey[]>()
  const unowned: Finding[] = []
  const intents = new Set<string>()
  for (const { uid, name } of keys) {
    const [, deployment, marked] = MARKER.exec(name) ?? []
    const intent = deployment === ctx.deployment && marked !== undefined ? marked : null
    if (intent !== null) intents.add(intent)
    const tenant = ownerOfTurnKey(ctx.sql, uid) ?? (intent === null ? null : tenantOfCreation(ctx.sql, intent))
    if (tenant !== null && isTenant(ctx, tenant)) {
      byTenant.set(tenant, [...(byTenant.get(tenant) ?? []), { uid, intent }])
      continue
    }
    const unmarked = deployment === undefined ? 'foreign' : 'other-deployment'
    unowned.push({ uid, class: intent === null ? unmarked : 'unclaimed', tenant })
  }
  return { byTenant, unowned, intents }
}

/**
 * The next tenants by id: those with listed keys, and those that own keys, because a key that is not listed may be missing.
 * `last`: where the share after it begins.
 */
function nextShare(
  ctx: AccountContext,
  byTenant: ReadonlyMap<string, unknown>,
  after: string,
): { readonly share: string[]; readonly last: string; readonly goesOn: boolean } {
  const listed = [...byTenant.keys()].filter((id) => id > after)
  const next = [...new Set([...listed, ...tenantsWithKeys(ctx.sql, after, TENANTS_A_SHARE + 1)])].sort()
  const share = next.slice(0, TENANTS_A_SHARE)
  return {
    share: share.filter((id) => isTenant(ctx, id)),
    last: share.at(-1) ?? after,
    goesOn: next.length > share.length,
  }
}

async function reconcileTenant(
  ctx: AccountContext,
  tenant: string,
  { run, listed, keys }: { readonly run: number; readonly listed: Listed; readonly keys: readonly SweptKey[] },
): Promise<void> {
  const checks = takeChecks(ctx)
  const order = { keys, listedAt: listed.requestedAt, checks }
  const result = await callTenant(ctx, tenant, order)
  // The directory has the tenant, but its object is empty: the storage is lost, and with it every secret.
  const lost = result?.ok === false && result.failure.code === 'not_found'
  const allStrangers: Reconciliation = { findings: keys.map(({ uid }) => ({ uid, class: 'stranger' })), checked: 0 }
  const reconciled = result?.ok ? result.value : lost ? allStrangers : undefined
  ctx.transact(() => {
    const unused = checks - (reconciled?.checked ?? 0)
    const failed = reconciled && !lost ? 0 : 1
    ctx.sql.exec(
      'UPDATE sweep SET checks_left = checks_left + ?, asked = asked + 1, failed = failed + ?',
      unused,
      failed,
    )
    if (!reconciled) return carryOverFindings(ctx.sql, tenant, run)
    const findings = reconciled.findings.map((found) => ({ uid: found.uid, class: classOf(ctx, found), tenant }))
    return recordFindings(ctx.sql, findings, run)
  })
}

/** Reserves checks before the Tenant is called, because several Tenants are called in parallel. */
function takeChecks(ctx: AccountContext): number {
  return ctx.transact(() => {
    const checks = Math.max(0, Math.min(CHECKS_A_TENANT, sweepRow(ctx.sql).checks_left))
    ctx.sql.exec('UPDATE sweep SET checks_left = checks_left - ?', checks)
    return checks
  })
}

async function callTenant(
  ctx: AccountContext,
  tenant: string,
  order: ReconcileOrder,
): Promise<Result<Reconciliation> | undefined> {
  try {
    const object = ctx.tenant(tenant)
    return await within(TENANT_DEADLINE_MS, object.examineKeys(order), () => undefined)
  } catch (error) {
    log.failure('tenant_unreachable', { tenant, operation: 'sweep' }, error)
    return
  }
}

const classOf = (ctx: AccountContext, found: Reconciliation['findings'][number]): FindingClass => {
  if (found.class !== 'stranger') return found.class
  return ownerOfTurnKey(ctx.sql, found.uid) === null ? 'unclaimed' : 'lost'
}
