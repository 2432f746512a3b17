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

/** The tenants that own a TURN key, each once. */
export const tenantsWithKeys = (sql: SqlStorage): string[] =>
  sql
    .exec<{ tenant: string }>('SELECT DISTINCT tenant FROM turn_key_owners')
    .toArray()
    .map(({ tenant }) => tenant)

export const countOwnedKeys = (sql: SqlStorage): number =>
  sql.exec<{ n: number }>('SELECT count(*) AS n FROM turn_key_owners').one().n
