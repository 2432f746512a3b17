/**
 * Keeps the tenant's snapshot in KV, which forgets an entry 24 h after its last put, while the tenant only mints. The first mint in
 * each six hours since 1970 writes it, in the background. The ledger shows whether a mint was there before in those hours, so
 * that an object which starts often writes no more than others. Stores nothing.
 */
import { publishSnapshot } from './changes.ts'
import type { TenantContext } from './context.ts'

const PERIOD_MS = 6 * 3_600_000

/**
 * To be called when a mint begins. `lastIssuedAt`: when the newest credential on the ledger was issued, in milliseconds since
 * 1970; asked once in each period.
 */
export function renewSnapshot(ctx: TenantContext, lastIssuedAt: () => number | undefined): void {
  const period = Math.floor(ctx.now() / PERIOD_MS)
  if (ctx.memory.snapshotPeriod === period) return
  ctx.memory.snapshotPeriod = period
  const last = lastIssuedAt()
  if (last !== undefined && Math.floor(last / PERIOD_MS) === period) return
  ctx.waitUntil(publishSnapshot(ctx))
}
