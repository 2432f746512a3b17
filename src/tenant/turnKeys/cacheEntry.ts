/** The TURN keys' entries in KV, as the Tenant writes them. */
import { FORMAT, type TurnKeyEntry, turnKeyEntryKey } from '../../cache/entries.ts'
import type { TenantParts } from '../core/context.ts'
import { tenantRecord } from '../core/tenantRow.ts'
import { keyByUid, viewOf } from './rows.ts'
import { isVisible } from './states.ts'

/** Writes what is true of a key now; a key that is gone leaves an entry that says so. Never rejects. */
export function publishKey(parts: TenantParts, uid: string): Promise<void> {
  const { id: tenant, version } = tenantRecord(parts)
  const row = keyByUid(parts.sql, uid)
  const key = row && isVisible(row.state) ? viewOf(row) : null
  const entry: TurnKeyEntry = { v: FORMAT, tenant, version, confirmedAt: parts.now(), uid, key }
  return parts.cache.put(turnKeyEntryKey(tenant, uid), entry)
}
