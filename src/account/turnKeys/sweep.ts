/**
 * The sweep: every key of the account is looked at once an hour, and when an operator asks. The Account lists and
 * sorts; what a key is, and whether it may be deleted, only its Tenant can say and do. What no Tenant knows is
 * reported and never touched. A run is done in shares, so that it keeps no other work waiting.
 */

import { actorOf } from '../../auth/caller.ts'
import type { ListedKey as UpstreamKey } from '../../cloudflare/turnKeys.ts'
import type { FindingClass, SweepView } from '../../contract/resources/account.ts'
import type { Result } from '../../errors.ts'
import type { Call } from '../../rpc/calls.ts'
import type { Examination, Examined, ListedKey } from '../../rpc/sweep.ts'
import { audit } from '../../storage/audit.ts'
import type { JobOutcome } from '../../storage/jobs.ts'
import * as log from '../../storage/log.ts'
import type { AccountParts } from '../core/context.ts'
import { isTenant } from '../directory/directory.ts'
import { type Finding, forgetFindings, keepFindings, recordFindings } from './findings.ts'
import { type Listed, ownerOfTurnKey, type UpstreamList } from './ownership.ts'
import {
  forgetOldCreations,
  isAnythingToSweep,
  SWEEP_EVERY_MS,
  SWEEP_JOB,
  sweepRow,
  sweepView,
  tenantOfCreation,
} from './sweepRows.ts'

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
export function orderSweep(parts: AccountParts, call: Call): SweepView {
  parts.transact(() => {
    parts.jobs.put(SWEEP_JOB, '', parts.now())
    parts.sql.exec("UPDATE sweep SET state = 'ordered' WHERE state <> 'running'")
    const { caller, requestId } = call
    audit(parts.sql, parts.now(), { actor: actorOf(caller), action: 'account.sweep', outcome: 'done', requestId })
  })
  return sweepView(parts)
}

/** One share of a run. */
export async function sweep(parts: AccountParts, list: UpstreamList): Promise<JobOutcome> {
  const run = begin(parts)
  let listed: Listed
  try {
    listed = await list.all(parts)
  } catch {
    parts.transact(() => parts.sql.exec("UPDATE sweep SET state = 'failed', ended_at = ?", parts.now()))
    return 'retry'
  }
  const { byTenant, loose, intents } = sorted(parts, listed.keys)
  if (run.next === '') parts.transact(() => recordFindings(parts.sql, loose, run.id))

  const tenants = tenantsToAsk(parts, byTenant).filter((id) => id > run.next)
  const share = tenants.slice(0, TENANTS_A_SHARE)
  for (let first = 0; first < share.length; first += TENANTS_AT_ONCE) {
    const group = share.slice(first, first + TENANTS_AT_ONCE)
    await Promise.all(group.map((id) => examine(parts, id, { run: run.id, listed, keys: byTenant.get(id) ?? [] })))
  }
  const last = share.at(-1)
  if (last !== undefined && tenants.length > share.length) {
    parts.transact(() => parts.sql.exec('UPDATE sweep SET next = ?', last))
    return { againAt: parts.now() }
  }
  return end(parts, run.id, intents)
}

/** A run that was interrupted goes on where it was. */
function begin(parts: AccountParts): { readonly id: number; readonly next: string } {
  return parts.transact(() => {
    const { state, begun_at, next } = sweepRow(parts.sql)
    if (state === 'running' && begun_at !== null) return { id: begun_at, next }
    const id = Math.max(parts.now(), (begun_at ?? 0) + 1)
    parts.sql.exec(
      "UPDATE sweep SET state = 'running', begun_at = ?, ended_at = NULL, next = '', asked = 0, failed = 0, checks_left = ?",
      id,
      CHECKS_A_RUN,
    )
    return { id, next: '' }
  })
}

function end(parts: AccountParts, run: number, intents: ReadonlySet<string>): JobOutcome {
  return parts.transact(() => {
    forgetFindings(parts.sql, run)
    forgetOldCreations(parts.sql, parts.now(), intents)
    parts.sql.exec("UPDATE sweep SET state = 'done', ended_at = ?, next = ''", parts.now())
    if (sweepRow(parts.sql).checks_left <= 0) return { againAt: parts.now() + REST_AFTER_MS }
    return isAnythingToSweep(parts.sql) ? { againAt: parts.now() + SWEEP_EVERY_MS } : 'done'
  })
}

/** By tenant what a tenant can speak of; the rest is only told. An imported key has an owner and no marker of ours. */
function sorted(parts: AccountParts, keys: readonly UpstreamKey[]) {
  const byTenant = new Map<string, ListedKey[]>()
  const loose: Finding[] = []
  const intents = new Set<string>()
  for (const { uid, name } of keys) {
    const [, deployment, marked] = MARKER.exec(name) ?? []
    const intent = deployment === parts.deployment && marked !== undefined ? marked : null
    if (intent !== null) intents.add(intent)
    const tenant = ownerOfTurnKey(parts, uid) ?? (intent === null ? null : tenantOfCreation(parts.sql, intent))
    if (tenant !== null && isTenant(parts, tenant)) {
      byTenant.set(tenant, [...(byTenant.get(tenant) ?? []), { uid, intent }])
      continue
    }
    const other = deployment === undefined ? 'foreign' : 'other-deployment'
    loose.push({ uid, class: intent === null ? other : 'unclaimed', tenant })
  }
  return { byTenant, loose, intents }
}

/** Also tenants of whose keys none is listed: those may have vanished. */
function tenantsToAsk(parts: AccountParts, byTenant: ReadonlyMap<string, unknown>): string[] {
  const owners = parts.sql.exec<{ tenant: string }>('SELECT DISTINCT tenant FROM turn_key_owners').toArray()
  const all = new Set([...byTenant.keys(), ...owners.map(({ tenant }) => tenant)])
  return [...all].filter((id) => isTenant(parts, id)).sort()
}

async function examine(
  parts: AccountParts,
  tenant: string,
  it: { readonly run: number; readonly listed: Listed; readonly keys: readonly ListedKey[] },
): Promise<void> {
  const checks = takeChecks(parts)
  const examination = { keys: it.keys, listedAt: it.listed.askedAt, checks }
  const result = await askTenant(parts, tenant, examination)
  // No object, although the directory has the tenant: its storage is gone, and with it every secret.
  const lost = result?.ok === false && result.failure.code === 'not_found'
  const nothing: Examined = { findings: it.keys.map(({ uid }) => ({ uid, class: 'stranger' })), checked: 0 }
  const examined = result?.ok ? result.value : lost ? nothing : undefined
  parts.transact(() => {
    const unused = checks - (examined?.checked ?? 0)
    const failed = examined && !lost ? 0 : 1
    parts.sql.exec(
      'UPDATE sweep SET checks_left = checks_left + ?, asked = asked + 1, failed = failed + ?',
      unused,
      failed,
    )
    if (!examined) return keepFindings(parts.sql, tenant, it.run)
    const findings = examined.findings.map((found) => ({ uid: found.uid, class: classOf(parts, found), tenant }))
    return recordFindings(parts.sql, findings, it.run)
  })
}

/** Reserved before the Tenant is asked, as several are asked at once. */
function takeChecks(parts: AccountParts): number {
  return parts.transact(() => {
    const checks = Math.max(0, Math.min(CHECKS_A_TENANT, sweepRow(parts.sql).checks_left))
    parts.sql.exec('UPDATE sweep SET checks_left = checks_left - ?', checks)
    return checks
  })
}

async function askTenant(
  parts: AccountParts,
  tenant: string,
  examination: Examination,
): Promise<Result<Examined> | undefined> {
  let timer: ReturnType<typeof setTimeout> | null = null
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), TENANT_DEADLINE_MS)
  })
  try {
    const object = parts.tenant(tenant)
    return await Promise.race([object.examineKeys(examination), late])
  } catch (error) {
    log.failure('tenant_unreachable', { tenant, operation: 'sweep' }, error)
    return
  } finally {
    clearTimeout(timer)
  }
}

const classOf = (parts: AccountParts, found: Examined['findings'][number]): FindingClass => {
  if (found.class !== 'stranger') return found.class
  return ownerOfTurnKey(parts, found.uid) === null ? 'unclaimed' : 'lost'
}
