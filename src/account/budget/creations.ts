/**
 * The table `creations`: for which tenant a call that creates a TURN key was taken out of the budget. A marker in the name of
 * an unknown key leads to that tenant. Only this file reads and writes it.
 */

/** As long as a Tenant keeps the rows of keys that ended, and a day. */
const KEPT_MS = 31 * 86_400_000
const FORGOTTEN_A_RUN = 1_000

/** A repeat of a creation that failed before its intent was stored comes with the same intent. */
export function noteCreation(
  sql: SqlStorage,
  { intent, tenant, now }: { readonly intent: string; readonly tenant: string; readonly now: number },
): void {
  sql.exec(
    'INSERT INTO creations (intent, tenant, at) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET at = excluded.at',
    intent,
    tenant,
    now,
  )
}

/** The tenant whose creation had this intent. */
export const tenantOfCreation = (sql: SqlStorage, intent: string): string | null =>
  sql.exec<{ tenant: string }>('SELECT tenant FROM creations WHERE intent = ?', intent).toArray()[0]?.tenant ?? null

export const hasCreations = (sql: SqlStorage): boolean =>
  sql.exec('SELECT 1 FROM creations LIMIT 1').toArray().length > 0

/** Deletes creations older than 31 days, unless their key is still listed. Inside a transaction. */
export function deleteOldCreations(sql: SqlStorage, now: number, listed: ReadonlySet<string>): void {
  const old = sql
    .exec<{ intent: string }>(
      'SELECT intent FROM creations WHERE at < ? LIMIT ?',
      now - KEPT_MS,
      FORGOTTEN_A_RUN + listed.size,
    )
    .toArray()
  for (const { intent } of old) {
    if (!listed.has(intent)) sql.exec('DELETE FROM creations WHERE intent = ?', intent)
  }
}
