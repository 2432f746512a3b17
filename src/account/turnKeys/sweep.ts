/**
 * The sweep: every key of the account is looked at once an hour, and when an operator asks. The Account lists and
 * sorts; what a key is, and whether it may be deleted, only its Tenant can say and do. What no Tenant knows is
 * reported and never touched. A run is done in shares, so that it keeps no other work waiting.
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
import { forgetOldCreations, tenantOfCreation } from '../budget/creations.ts'
import type { AccountContext } from '../core/context.ts'
import { isTenant } from '../directory/directory.ts'
import { ownerOfTurnKey, tenantsWithKeys } from '../directory/keyOwners.ts'
import { type Finding, forgetFindings, keepFindings, recordFindings } from './findings.ts'
import type { Listed, UpstreamList } from './ownership.ts'
import { isAnythingToSweep, SWEEP_EVERY_MS, SWEEP_JOB, sweepRow, sweepView } from './sweepRows.ts'

/** A run whose calls were all used up goes on after this. */
const REST_AFTER_MS = 300_000
const TENANTS_A_SHARE = 25
const TENANTS_AT_ONCE = 5
const TENANT_DEADLINE_MS = 30_000
/** Keys not listed are asked for one by one; a list that lies must not spend the budget. */
const CHECKS_A_RUN = 60
const CHECKS_A_TENANT = 5

const MARKER = /^tb\.([a-z0-9]{4,16})\.([0-9A-Za-z]{17})( |$)/

/** An operator wants one now. */
export function orderSweep(ctx: AccountContext, call: Call): SweepView {
  ctx.transact(() => {
    ctx.jobs.put(SWEEP_JOB, '', ctx.now())
    ctx.sql.exec("UPDATE sweep SET state = 'ordered' WHERE state <> 'running'")
    const { caller, requestId } = call
    audit(ctx.sql, ctx.now(), { actor: actorOf(caller), action: 'account.sweep', outcome: 'done', requestId })
  })
  return sweepView(ctx)
}

/** One share of a run. */
export async function sweep(ctx: AccountContext, list: UpstreamList): Promise<JobOutcome> {
  const run = begin(ctx)
  let listed: Listed
  try {
    listed = await list.all(ctx)
  } catch {
    ctx.transact(() => ctx.sql.exec("UPDATE sweep SET state = 'failed', ended_at = ?", ctx.now()))
    return 'retry'
  }
  const { byTenant, loose, intents } = sorted(ctx, listed.keys)
  if (run.next === '') ctx.transact(() => recordFindings(ctx.sql, loose, run.id))

  const tenants = tenantsToAsk(ctx, byTenant).filter((id) => id > run.next)
  const share = tenants.slice(0, TENANTS_A_SHARE)
  for (let first = 0; first < share.length; first += TENANTS_AT_ONCE) {
    const group = share.slice(first, first + TENANTS_AT_ONCE)
    await Promise.all(group.map((id) => examine(ctx, id, { run: run.id, listed, keys: byTenant.get(id) ?? [] })))
  }
  const last = share.at(-1)
  if (last !== undefined && tenants.length > share.length) {
    ctx.transact(() => ctx.sql.exec('UPDATE sweep SET next = ?', last))
    return { againAt: ctx.now() }
  }
  return end(ctx, run.id, intents)
}

/** A run that was interrupted goes on where it was. */
function begin(ctx: AccountContext): { readonly id: number; readonly next: string } {
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

function end(ctx: AccountContext, run: number, intents: ReadonlySet<string>): JobOutcome {
  return ctx.transact(() => {
    forgetFindings(ctx.sql, run)
    forgetOldCreations(ctx.sql, ctx.now(), intents)
    ctx.sql.exec("UPDATE sweep SET state = 'done', ended_at = ?, next = ''", ctx.now())
    if (sweepRow(ctx.sql).checks_left <= 0) return { againAt: ctx.now() + REST_AFTER_MS }
    return isAnythingToSweep(ctx.sql) ? { againAt: ctx.now() + SWEEP_EVERY_MS } : 'done'
  })
}

/** By tenant what a tenant can speak of; the rest is only told. An imported key has an owner and no marker of ours. */
function sorted(ctx: AccountContext, keys: readonly UpstreamKey[]) {
  const byTenant = new Map<string, SweptKey[]>()
  const loose: Finding[] = []
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
    const other = deployment === undefined ? 'foreign' : 'other-deployment'
    loose.push({ uid, class: intent === null ? other : 'unclaimed', tenant })
  }
  return { byTenant, loose, intents }
}

/** Also tenants of whose keys none is listed: those may have vanished. */
function tenantsToAsk(ctx: AccountContext, byTenant: ReadonlyMap<string, unknown>): string[] {
  const all = new Set([...byTenant.keys(), ...tenantsWithKeys(ctx.sql)])
  return [...all].filter((id) => isTenant(ctx, id)).sort()
}

async function examine(
  ctx: AccountContext,
  tenant: string,
  it: { readonly run: number; readonly listed: Listed; readonly keys: readonly SweptKey[] },
): Promise<void> {
  const checks = takeChecks(ctx)
  const examination = { keys: it.keys, listedAt: it.listed.askedAt, checks }
  const result = await askTenant(ctx, tenant, examination)
  // No object, although the directory has the tenant: its storage is gone, and with it every secret.
  const lost = result?.ok === false && result.failure.code === 'not_found'
  const nothing: Reconciliation = { findings: it.keys.map(({ uid }) => ({ uid, class: 'stranger' })), checked: 0 }
  const examined = result?.ok ? result.value : lost ? nothing : undefined
  ctx.transact(() => {
    const unused = checks - (examined?.checked ?? 0)
    const failed = examined && !lost ? 0 : 1
    ctx.sql.exec(
      'UPDATE sweep SET checks_left = checks_left + ?, asked = asked + 1, failed = failed + ?',
      unused,
      failed,
    )
    if (!examined) return keepFindings(ctx.sql, tenant, it.run)
    const findings = examined.findings.map((found) => ({ uid: found.uid, class: classOf(ctx, found), tenant }))
    return recordFindings(ctx.sql, findings, it.run)
  })
}

/** Reserved before the Tenant is asked, as several are asked at once. */
function takeChecks(ctx: AccountContext): number {
  return ctx.transact(() => {
    const checks = Math.max(0, Math.min(CHECKS_A_TENANT, sweepRow(ctx.sql).checks_left))
    ctx.sql.exec('UPDATE sweep SET checks_left = checks_left - ?', checks)
    return checks
  })
}

async function askTenant(
  ctx: AccountContext,
  tenant: string,
  examination: ReconcileOrder,
): Promise<Result<Reconciliation> | undefined> {
  try {
    const object = ctx.tenant(tenant)
    return await within(TENANT_DEADLINE_MS, object.examineKeys(examination), () => undefined)
  } catch (error) {
    log.failure('tenant_unreachable', { tenant, operation: 'sweep' }, error)
    return
  }
}

const classOf = (ctx: AccountContext, found: Reconciliation['findings'][number]): FindingClass => {
  if (found.class !== 'stranger') return found.class
  return ownerOfTurnKey(ctx.sql, found.uid) === null ? 'unclaimed' : 'lost'
}
