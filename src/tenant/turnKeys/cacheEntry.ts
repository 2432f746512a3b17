/** Writing the KV entries of TURN keys. */
import { FORMAT, type TurnKeyEntry, turnKeyEntryKey } from '../../cache/entries.ts'
import type { TenantContext } from '../core/context.ts'
import { tenantRecord } from '../core/tenantRow.ts'
import { keyByUid, turnKeyView } from './rows.ts'
import { isVisible } from './states.ts'

/** Writes the key's current state; a deleted key leaves an entry that says so. Whether KV took it, or a newer one. Never rejects. */
export function publishKey(ctx: TenantContext, uid: string): Promise<boolean> {
  const { id: tenant, version } = tenantRecord(ctx)
  const row = keyByUid(ctx.sql, uid)
  const key = row && isVisible(row.state) ? turnKeyView(row) : null
  const entry: TurnKeyEntry = { v: FORMAT, tenant, version, confirmedAt: ctx.now(), uid, key }
  return ctx.cache.put(turnKeyEntryKey(tenant, uid), entry)
}
