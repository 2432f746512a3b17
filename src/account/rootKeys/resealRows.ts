/**
 * The tables of a reseal: `reseal_order` has the newest order and its sums, `reseals` a row for each of its tenants. Only this
 * file writes them, inside the caller's transaction. Sums go along with every report, so that no step counts all tenants.
 */
import type { ResealReport } from '../../rpc/reseal.ts'
import type { AccountContext } from '../core/context.ts'

export interface ResealOrderRow extends Record<string, SqlStorageValue> {
  number: number
  to_key: string
  ordered_at: number
  /** `seq` of the last tenant that was enrolled; `null`: all are. */
  enrolled: number | null
  /** Of the tenants enrolled so far: how many, how many are done, and how many of those have secrets that do not open. */
  tenants: number
  done: number
  failed: number
  moved: number
  unreadable: number
  rows_left: number
}

interface TenantRow extends Record<string, SqlStorageValue> {
  state: 'waiting' | 'running' | 'done'
  moved: number
  unreadable: number
  rows_left: number
}

type Sql = Pick<AccountContext, 'sql'>

export const orderOf = ({ sql }: Sql): ResealOrderRow | undefined =>
  sql.exec<ResealOrderRow>('SELECT * FROM reseal_order').toArray()[0]

/** Whether every tenant of the order is through. */
export const isThrough = ({ enrolled, done, tenants }: ResealOrderRow): boolean => enrolled === null && done >= tenants

/** Rows of an earlier order stay: each is replaced when its tenant is enrolled, or goes with the tenant. */
export function insertOrder(
  { sql }: Sql,
  order: { readonly number: number; readonly to: string; readonly now: number },
): void {
  sql.exec('DELETE FROM reseal_order')
  sql.exec(
    'INSERT INTO reseal_order (number, to_key, ordered_at, enrolled) VALUES (?, ?, ?, 0)',
    order.number,
    order.to,
    order.now,
  )
}

/** Goes through all tenants again, so that those which are not done are asked now. */
export function enrolAgain({ sql }: Sql): void {
  sql.exec('UPDATE reseal_order SET enrolled = 0')
}

/** Enrols the next `limit` tenants. Returns those that are to be asked. */
export function enrolTenants({ sql }: Sql, order: ResealOrderRow, limit: number): string[] {
  const next = sql
    .exec<{ seq: number; id: string; state: string }>(
      "SELECT seq, id, state FROM tenants INDEXED BY tenants_there WHERE state <> 'deleted' AND seq > ? ORDER BY seq LIMIT ?",
      order.enrolled ?? 0,
      limit,
    )
    .toArray()
  // One that is being created has no secret yet.
  const tenants = next.filter(({ state }) => state !== 'creating').map(({ id }) => id)
  let added = 0
  for (const tenant of tenants) {
    const isNew = sql.exec(
      `INSERT INTO reseals (tenant, number) VALUES (?, ?) ON CONFLICT DO UPDATE SET number = excluded.number,
         state = 'waiting', moved = 0, unreadable = 0, rows_left = 0 WHERE number <> excluded.number RETURNING 1`,
      tenant,
      order.number,
    )
    added += isNew.toArray().length
  }
  const upTo = next.length < limit ? null : (next.at(-1)?.seq ?? null)
  sql.exec('UPDATE reseal_order SET enrolled = ?, tenants = tenants + ?', upTo, added)
  return tenants.filter((tenant) => isPending({ sql }, order, tenant))
}

/** Whether the tenant is one of this order, and not done. */
export const isPending = (ctx: Sql, order: ResealOrderRow, tenant: string): boolean =>
  (tenantRow(ctx, order.number, tenant)?.state ?? 'done') !== 'done'

/** Stores what the tenant's object reported. */
export function recordReport(ctx: Sql, order: ResealOrderRow, tenant: string, report: ResealReport): void {
  const before = tenantRow(ctx, order.number, tenant)
  if (!before) return
  const { moved, unreadable, left, finished } = report
  const after = { state: finished ? 'done' : 'running', moved, unreadable, rows_left: left } as const
  ctx.sql.exec(
    'UPDATE reseals SET state = ?, moved = ?, unreadable = ?, rows_left = ? WHERE tenant = ?',
    after.state,
    moved,
    unreadable,
    left,
    tenant,
  )
  addToSums(ctx, before, after)
}

/** The tenant is deleted, or its object has nothing to move. */
export function forgetResealed(ctx: Sql, tenant: string): void {
  const order = orderOf(ctx)
  const before = order && tenantRow(ctx, order.number, tenant)
  ctx.sql.exec('DELETE FROM reseals WHERE tenant = ?', tenant)
  if (!before) return
  addToSums(ctx, before, { state: 'waiting', moved: before.moved, unreadable: 0, rows_left: 0 })
  ctx.sql.exec('UPDATE reseal_order SET tenants = tenants - 1')
}

const tenantRow = ({ sql }: Sql, number: number, tenant: string): TenantRow | undefined =>
  sql.exec<TenantRow>('SELECT * FROM reseals WHERE tenant = ? AND number = ?', tenant, number).toArray()[0]

function addToSums({ sql }: Sql, before: TenantRow, after: TenantRow): void {
  const isDone = ({ state }: TenantRow) => Number(state === 'done')
  const isFailed = ({ unreadable }: TenantRow) => Number(unreadable > 0)
  sql.exec(
    `UPDATE reseal_order SET done = done + ?, failed = failed + ?, moved = moved + ?, unreadable = unreadable + ?,
       rows_left = rows_left + ?`,
    isDone(after) - isDone(before),
    isFailed(after) - isFailed(before),
    after.moved - before.moved,
    after.unreadable - before.unreadable,
    after.rows_left - before.rows_left,
  )
}
