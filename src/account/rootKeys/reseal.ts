/**
 * Reseal: moves every tenant's secrets to the current root key. Each tenant has a job that calls its object for one
 * bounded batch after the other. The object has the real progress; resealRows.ts has its last report.
 */

import { actorOf, type Caller, type RequestRef } from '../../auth/caller.ts'
import { within } from '../../concurrency/deadline.ts'
import type { ResealView } from '../../contract/resources/reseal.ts'
import { instant } from '../../contract/values.ts'
import { BrokerError, type Result } from '../../errors.ts'
import type { ResealReport } from '../../rpc/reseal.ts'
import { audit } from '../../storage/audit.ts'
import type { Job, JobOutcome } from '../../storage/jobs.ts'
import type { AccountContext } from '../core/context.ts'
import { addRootKeyUses, retainRootKeyUses, rootKeysInUse } from './inUse.ts'
import {
  enrolAgain,
  enrolTenants,
  forgetResealed,
  insertOrder,
  isPending,
  isThrough,
  orderOf,
  recordReport,
} from './resealRows.ts'

export const RESEAL_JOB = 'reseal'
const ROWS_A_BATCH = 200
/** How many tenants one step enrols. */
const TENANTS_A_STEP = 100
/** Key of the job that enrols the tenants: no tenant has this id. */
const EVERY_TENANT = ''
const BATCH_DEADLINE_MS = 10_000
/** Retry delay for an object that did not answer, or that still runs with the previous root keys. */
const ASK_AGAIN_MS = 15_000

export interface ResealCall extends RequestRef {
  readonly caller: Caller
  /** The current root key in the configuration of the calling Worker. */
  readonly to: string
}

/** Starts a reseal. If one to the same key is running, retries its unfinished tenants now. Throws `conflict`. */
export function orderReseal(ctx: AccountContext, call: ResealCall): ResealView {
  const { to } = call
  if (to !== ctx.rootKeys.current) {
    const detail = 'ROOT_KEYS: the new value has not reached every object of the broker yet; repeat in a minute.'
    throw new BrokerError('conflict', { detail })
  }
  ctx.transact(() => {
    const previous = orderOf(ctx)
    if (previous?.to_key === to && !isThrough(previous)) enrolAgain(ctx)
    else {
      // The number contains the time, so it increases even if this storage was restored to an earlier state: no tenant may
      // have seen a later number.
      insertOrder(ctx, { number: Math.max(ctx.now(), (previous?.number ?? 0) + 1), to, now: ctx.now() })
    }
    if (!enrolNext(ctx)) ctx.jobs.put(RESEAL_JOB, EVERY_TENANT, ctx.now())
    const { caller, requestId } = call
    const actor = actorOf(caller)
    audit(ctx.sql, ctx.now(), { actor, action: 'root_key.reseal', target: to, outcome: 'begun', requestId })
  })
  return resealProgress(ctx)
}

/** Inside a transaction: enrols the next tenants and orders a job for each that is not done. Returns whether all are enrolled. */
function enrolNext(ctx: AccountContext): boolean {
  const order = orderOf(ctx)
  if (!order) return true
  for (const tenant of enrolTenants(ctx, order, TENANTS_A_STEP)) ctx.jobs.put(RESEAL_JOB, tenant, ctx.now())
  return orderOf(ctx)?.enrolled === null
}

export function resealProgress(ctx: AccountContext): ResealView {
  const order = orderOf(ctx)
  const rootKeys = rootKeysInUse(ctx)
  if (!order) {
    const none = { to: null, orderedAt: null, tenants: 0, done: 0, moved: 0, unreadable: 0, left: 0 }
    return { state: 'none', ...none, rootKeys }
  }
  const { tenants, done, moved, unreadable, rows_left: left } = order
  return {
    state: isThrough(order) ? 'done' : 'running',
    to: order.to_key,
    orderedAt: instant(order.ordered_at),
    ...{ tenants, done, moved, unreadable, left },
    rootKeys,
  }
}

/** Job: one batch of one tenant, or the next tenants of the order. */
export async function resealJob(ctx: AccountContext, { key: tenant }: Job): Promise<JobOutcome> {
  if (tenant === EVERY_TENANT) {
    return ctx.transact((): JobOutcome => {
      if (!enrolNext(ctx)) return { againAt: ctx.now() }
      auditEnd(ctx)
      return 'done'
    })
  }
  const order = orderOf(ctx)
  if (!order || !isPending(ctx, order, tenant)) return 'done'
  const begunAt = ctx.now()
  const object = ctx.tenant(tenant)
  const asked = object.reseal({ number: order.number, to: order.to_key, limit: ROWS_A_BATCH })
  const result = await inTime(asked)
  const gone = result?.ok === false && result.failure.code === 'not_found'
  if (!gone && !result?.ok) return { againAt: ctx.now() + ASK_AGAIN_MS }

  return ctx.transact((): JobOutcome => {
    // A newer order has replaced this one and has its own job.
    if (orderOf(ctx)?.number !== order.number) return 'done'
    if (!result.ok) {
      forgetResealed(ctx, tenant)
      return 'done'
    }
    const { finished, rootKeys } = result.value
    recordReport(ctx, order, tenant, result.value)
    addRootKeyUses(ctx, tenant, rootKeys)
    if (!finished) return { againAt: ctx.now() }
    retainRootKeyUses(ctx, tenant, rootKeys, begunAt)
    auditEnd(ctx)
    return 'done'
  })
}

/** Inside a transaction, after the last tenant. */
function auditEnd(ctx: AccountContext): void {
  const order = orderOf(ctx)
  if (!order || !isThrough(order) || order.tenants === 0) return
  const outcome = order.failed > 0 ? 'failed' : 'done'
  audit(ctx.sql, ctx.now(), { actor: 'broker', action: 'root_key.reseal', target: order.to_key, outcome })
}

/** `undefined`: the call broke, or was not answered in time. A batch done twice moves nothing twice. */
async function inTime(asked: Promise<Result<ResealReport>>): Promise<Result<ResealReport> | undefined> {
  try {
    return await within(BATCH_DEADLINE_MS, asked, () => undefined)
  } catch {
    return
  }
}
