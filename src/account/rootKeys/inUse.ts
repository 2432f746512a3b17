/**
 * Which root keys are needed: by secrets that tenants have reported, and by client tokens that may still be valid.
 * One that is needed and not configured is told by /readyz before anybody meets it.
 */
import { MAX_CLIENT_TOKEN_SECONDS } from '../../contract/resources/clientTokens.ts'
import type { RootKeyUse } from '../../contract/resources/reseal.ts'
import { instant } from '../../contract/values.ts'
import type { RootKeys } from '../../crypto/rootKeys.ts'
import type { AccountContext } from '../core/context.ts'

/** Objects of the deployment before may go on signing for a while after the first one of the new has started. */
const ROLL_OUT_MS = 300_000
const SIGNED_FOR_MS = MAX_CLIENT_TOKEN_SECONDS * 1_000 + ROLL_OUT_MS

/** When the object starts: which root key is in front. The one before signed client tokens until now, for all we know. */
export function noteFront(sql: SqlStorage, now: number, { current }: RootKeys): void {
  const [front] = sql.exec<{ root_key: string }>('SELECT root_key FROM root_keys_front WHERE until IS NULL').toArray()
  if (front?.root_key === current) return
  sql.exec('UPDATE root_keys_front SET until = ? WHERE until IS NULL', now)
  sql.exec('DELETE FROM root_keys_front WHERE until < ?', now - SIGNED_FOR_MS)
  sql.exec(
    'INSERT INTO root_keys_front (root_key, until) VALUES (?, NULL) ON CONFLICT DO UPDATE SET until = NULL',
    current,
  )
}

/** Inside a transaction: a tenant has told which root keys its secrets need. Nothing is taken back by this. */
export function noteUses(ctx: AccountContext, tenant: string, rootKeys: readonly string[]): void {
  for (const rootKey of rootKeys) {
    ctx.sql.exec(
      `INSERT INTO root_key_uses (root_key, tenant, noted_at)
       SELECT ?, id, ? FROM tenants WHERE id = ? AND state <> 'deleted'
       ON CONFLICT DO UPDATE SET noted_at = excluded.noted_at`,
      rootKey,
      ctx.now(),
      tenant,
    )
  }
}

/** Inside a transaction: a reseal that began at `since` found that these are all it needs. */
export function keepUses(ctx: AccountContext, tenant: string, rootKeys: readonly string[], since: number): void {
  const kept = JSON.stringify(rootKeys)
  ctx.sql.exec(
    `DELETE FROM root_key_uses
     WHERE tenant = ? AND noted_at < ? AND root_key NOT IN (SELECT value FROM json_each(?))`,
    tenant,
    since,
    kept,
  )
}

/** Inside a transaction: the tenant is gone, and its secrets with it. */
export const dropUses = (ctx: AccountContext, tenant: string): unknown =>
  ctx.sql.exec('DELETE FROM root_key_uses WHERE tenant = ?', tenant)

/** Ids of all root keys that something needs: a few steps along the index, however many tenants there are. */
export function neededRootKeys(ctx: AccountContext): string[] {
  const rows = ctx.sql.exec<{ id: string }>(
    `WITH RECURSIVE used(id) AS (
       SELECT min(root_key) FROM root_key_uses
       UNION ALL
       SELECT (SELECT min(root_key) FROM root_key_uses WHERE root_key > used.id) FROM used WHERE used.id IS NOT NULL
     )
     SELECT id FROM used WHERE id IS NOT NULL
     UNION SELECT root_key FROM root_keys_front WHERE until IS NULL OR until > ?`,
    ctx.now() - SIGNED_FOR_MS,
  )
  return rows.toArray().map(({ id }) => id)
}

/** Every root key that is configured or needed, with who needs it. */
export function rootKeysInUse(ctx: AccountContext): RootKeyUse[] {
  const { sql, rootKeys } = ctx
  const counts = new Map(
    sql
      .exec<{ id: string; n: number }>('SELECT root_key AS id, count(*) AS n FROM root_key_uses GROUP BY root_key')
      .toArray()
      .map(({ id, n }) => [id, n]),
  )
  const signed = new Map(
    sql
      .exec<{ id: string; until: number }>(
        'SELECT root_key AS id, until FROM root_keys_front WHERE until > ?',
        ctx.now() - SIGNED_FOR_MS,
      )
      .toArray()
      .map(({ id, until }) => [id, instant(until + SIGNED_FOR_MS)]),
  )
  return [...new Set([...rootKeys.ids, ...neededRootKeys(ctx)])].map((id) => ({
    id,
    current: id === rootKeys.current,
    configured: rootKeys.ids.includes(id),
    tenants: counts.get(id) ?? 0,
    clientTokensUntil: signed.get(id) ?? null,
  }))
}
