/**
 * Reseal: moves every tenant's secrets to the current root key. Each tenant has a job that calls its object for one
 * bounded batch after the other. The object has the real progress; this table has its last report.
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

export const RESEAL_JOB = 'reseal'
const ROWS_A_BATCH = 200
const BATCH_DEADLINE_MS = 10_000
/** Retry delay for an object that did not answer, or that still runs with the previous root keys. */
const ASK_AGAIN_MS = 15_000

export interface ResealCall extends RequestRef {
  readonly caller: Caller
  /** The current root key in the configuration of the calling Worker. */
  readonly to: string
}

interface Order extends Record<string, SqlStorageValue> {
  number: number
  to_key: string
  ordered_at: number
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
    const isRunning = previous?.to_key === to && countOf(ctx, "state <> 'done'") > 0
    if (!isRunning) startOrder(ctx, to, previous)
    const waiting = ctx.sql.exec<{ tenant: string }>("SELECT tenant FROM reseals WHERE state <> 'done'").toArray()
    for (const { tenant } of waiting) ctx.jobs.put(RESEAL_JOB, tenant, ctx.now())
    const { caller, requestId } = call
    const actor = actorOf(caller)
    audit(ctx.sql, ctx.now(), { actor, action: 'root_key.reseal', target: to, outcome: 'begun', requestId })
  })
  return resealProgress(ctx)
}

/**
 * Call it inside a transaction. The number contains the time, so it increases even if this storage was restored to an
 * earlier state: no tenant may have seen a later number.
 */
function startOrder(ctx: AccountContext, to: string, previous: Order | undefined): void {
  const number = Math.max(ctx.now(), (previous?.number ?? 0) + 1)
  ctx.sql.exec('DELETE FROM reseal_order')
  ctx.sql.exec('INSERT INTO reseal_order (number, to_key, ordered_at) VALUES (?, ?, ?)', number, to, ctx.now())
  ctx.sql.exec('DELETE FROM reseals')
  ctx.sql.exec("INSERT INTO reseals (tenant) SELECT id FROM tenants WHERE state NOT IN ('creating', 'deleted')")
}

export function resealProgress(ctx: AccountContext): ResealView {
  const order = orderOf(ctx)
  const sums = ctx.sql
    .exec<{ tenants: number; done: number; moved: number; unreadable: number; left: number }>(
      `SELECT count(*) AS tenants, coalesce(sum(state = 'done'), 0) AS done, coalesce(sum(moved), 0) AS moved,
         coalesce(sum(unreadable), 0) AS unreadable, coalesce(sum(rows_left), 0) AS "left" FROM reseals`,
    )
    .one()
  const running = sums.done < sums.tenants
  return {
    state: order === undefined ? 'none' : running ? 'running' : 'done',
    to: order?.to_key ?? null,
    orderedAt: order === undefined ? null : instant(order.ordered_at),
    ...sums,
    rootKeys: rootKeysInUse(ctx),
  }
}

/** Job: one batch of one tenant. */
export async function resealJob(ctx: AccountContext, { key: tenant }: Job): Promise<JobOutcome> {
  const order = orderOf(ctx)
  if (!order || countOf(ctx, "state <> 'done' AND tenant = ?", tenant) === 0) return 'done'
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
      ctx.sql.exec('DELETE FROM reseals WHERE tenant = ?', tenant)
      return 'done'
    }
    const { moved, unreadable, left, finished, rootKeys } = result.value
    ctx.sql.exec(
      'UPDATE reseals SET state = ?, moved = ?, unreadable = ?, rows_left = ? WHERE tenant = ?',
      finished ? 'done' : 'running',
      moved,
      unreadable,
      left,
      tenant,
    )
    addRootKeyUses(ctx, tenant, rootKeys)
    if (!finished) return { againAt: ctx.now() }
    retainRootKeyUses(ctx, tenant, rootKeys, begunAt)
    if (countOf(ctx, "state <> 'done'") === 0) {
      const { to_key: target } = order
      const outcome = countOf(ctx, 'unreadable > 0') > 0 ? 'failed' : 'done'
      audit(ctx.sql, ctx.now(), { actor: 'broker', action: 'root_key.reseal', target, outcome })
    }
    return 'done'
  })
}

const orderOf = ({ sql }: AccountContext): Order | undefined =>
  sql.exec<Order>('SELECT * FROM reseal_order').toArray()[0]

const countOf = ({ sql }: AccountContext, where: string, ...bindings: string[]): number =>
  sql.exec<{ n: number }>(`SELECT count(*) AS n FROM reseals WHERE ${where}`, ...bindings).one().n

/** `undefined`: the call broke, or was not answered in time. A batch done twice moves nothing twice. */
async function inTime(asked: Promise<Result<ResealReport>>): Promise<Result<ResealReport> | undefined> {
  try {
    return await within(BATCH_DEADLINE_MS, asked, () => undefined)
  } catch {
    return
  }
}
