/** The table `turn_key_owners`: which tenant owns which TURN key. Only this file reads and writes it. */

/** Records the owner of a uid, inside a transaction. `false`: another tenant owns it already. */
export function claimTurnKey(
  sql: SqlStorage,
  claim: { readonly uid: string; readonly tenant: string; readonly now: number },
): boolean {
  sql.exec(
    'INSERT INTO turn_key_owners (uid, tenant, claimed_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING',
    claim.uid,
    claim.tenant,
    claim.now,
  )
  return ownerOfTurnKey(sql, claim.uid) === claim.tenant
}

/** Gives up a uid, if this tenant owns it. */
export function releaseTurnKey(sql: SqlStorage, uid: string, tenant: string): void {
  sql.exec('DELETE FROM turn_key_owners WHERE uid = ? AND tenant = ?', uid, tenant)
}

export function releaseAllTurnKeys(sql: SqlStorage, tenant: string): void {
  sql.exec('DELETE FROM turn_key_owners WHERE tenant = ?', tenant)
}

export function ownerOfTurnKey(sql: SqlStorage, uid: string): string | null {
  const [row] = sql.exec<{ tenant: string }>('SELECT tenant FROM turn_key_owners WHERE uid = ?', uid).toArray()
  return row?.tenant ?? null
}

/** The next `limit` tenants by id that own a TURN key. One step of the index a tenant, however many keys it owns. */
export function tenantsWithKeys(sql: SqlStorage, after: string, limit: number): string[] {
  const tenants: string[] = []
  for (let last = after; tenants.length < limit; ) {
    const { next } = sql
      .exec<{ next: string | null }>('SELECT min(tenant) AS next FROM turn_key_owners WHERE tenant > ?', last)
      .one()
    if (next === null) break
    tenants.push(next)
    last = next
  }
  return tenants
}

export const hasOwnedKeys = (sql: SqlStorage): boolean =>
  sql.exec('SELECT 1 FROM turn_key_owners LIMIT 1').toArray().length > 0
