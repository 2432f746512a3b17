/**
 * Which root keys are needed: by tenants' secrets, as their objects reported, by the check keys of API tokens, and by client
 * tokens that may still be valid. If a needed key is not configured, `/readyz` fails.
 */
import { MAX_CLIENT_TOKEN_SECONDS } from '../../contract/resources/clientTokens.ts'
import type { RootKeyUse } from '../../contract/resources/reseal.ts'
import { instant } from '../../contract/values.ts'
import type { RootKeys } from '../../crypto/rootKeys.ts'
import type { AccountContext } from '../core/context.ts'
import { rootKeysOfCheckKeys } from '../tokenCheck/checkKeyRows.ts'

/** After a deployment, objects of the previous release may still sign for this long. */
const ROLL_OUT_MS = 300_000
const MAX_SIGNED_LIFE_MS = MAX_CLIENT_TOKEN_SECONDS * 1_000 + ROLL_OUT_MS

/**
 * Records the current root key when the object starts. The previous one may have signed client tokens until now, so it
 * stays needed for `MAX_SIGNED_LIFE_MS`.
 */
export function recordCurrentRootKey(sql: SqlStorage, now: number, { current }: RootKeys): void {
  const [front] = sql.exec<{ root_key: string }>('SELECT root_key FROM root_keys_front WHERE until IS NULL').toArray()
  if (front?.root_key === current) return
  sql.exec('UPDATE root_keys_front SET until = ? WHERE until IS NULL', now)
  sql.exec('DELETE FROM root_keys_front WHERE until < ?', now - MAX_SIGNED_LIFE_MS)
  sql.exec(
    'INSERT INTO root_keys_front (root_key, until) VALUES (?, NULL) ON CONFLICT DO UPDATE SET until = NULL',
    current,
  )
}

/** Adds the root keys that a tenant reported as needed. Removes none. Call it inside a transaction. */
export function addRootKeyUses(ctx: AccountContext, tenant: string, rootKeys: readonly string[]): void {
  for (const rootKey of rootKeys) {
    const now = ctx.now()
    const known = ctx.sql.exec(
      'UPDATE root_key_uses SET noted_at = ? WHERE root_key = ? AND tenant = ? RETURNING 1',
      now,
      rootKey,
      tenant,
    )
    if (known.toArray().length > 0) continue
    const added = ctx.sql.exec(
      `INSERT INTO root_key_uses (root_key, tenant, noted_at)
       SELECT ?, id, ? FROM tenants WHERE id = ? AND state <> 'deleted' RETURNING 1`,
      rootKey,
      now,
      tenant,
    )
    if (added.toArray().length > 0) countUse(ctx, rootKey, 1)
  }
}

/**
 * After a finished reseal that began at `since`: the tenant needs only these root keys. Call it inside a transaction.
 * Uses that were recorded after `since` stay.
 */
export function retainRootKeyUses(
  ctx: AccountContext,
  tenant: string,
  rootKeys: readonly string[],
  since: number,
): void {
  const removed = ctx.sql.exec<{ id: string }>(
    `DELETE FROM root_key_uses
     WHERE tenant = ? AND noted_at < ? AND root_key NOT IN (SELECT value FROM json_each(?)) RETURNING root_key AS id`,
    tenant,
    since,
    JSON.stringify(rootKeys),
  )
  for (const { id } of removed.toArray()) countUse(ctx, id, -1)
}

/** Removes all root key uses of a deleted tenant. Call it inside a transaction. */
export function deleteRootKeyUses(ctx: AccountContext, tenant: string): void {
  const removed = ctx.sql.exec<{ id: string }>(
    'DELETE FROM root_key_uses WHERE tenant = ? RETURNING root_key AS id',
    tenant,
  )
  for (const { id } of removed.toArray()) countUse(ctx, id, -1)
}

/** The number of tenants that need a root key, so that no one has to count the rows of all tenants. */
function countUse({ sql }: AccountContext, rootKey: string, by: 1 | -1): void {
  sql.exec(
    'INSERT INTO root_key_counts (root_key, tenants) VALUES (?, ?) ON CONFLICT DO UPDATE SET tenants = tenants + excluded.tenants',
    rootKey,
    by,
  )
  if (by < 0) sql.exec('DELETE FROM root_key_counts WHERE root_key = ? AND tenants <= 0', rootKey)
}

/** Ids of all needed root keys. */
export function neededRootKeys(ctx: AccountContext): string[] {
  const rows = ctx.sql.exec<{ id: string }>(
    `SELECT root_key AS id FROM root_key_counts
     UNION SELECT root_key FROM root_keys_front WHERE until IS NULL OR until > ?`,
    ctx.now() - MAX_SIGNED_LIFE_MS,
  )
  return [...new Set([...rows.toArray().map(({ id }) => id), ...rootKeysOfCheckKeys(ctx.sql)])]
}

/** Every root key that is configured or needed, with the number of tenants that need it. */
export function rootKeysInUse(ctx: AccountContext): RootKeyUse[] {
  const { sql, rootKeys } = ctx
  const counts = new Map(
    sql
      .exec<{ id: string; n: number }>('SELECT root_key AS id, tenants AS n FROM root_key_counts')
      .toArray()
      .map(({ id, n }) => [id, n]),
  )
  const signed = new Map(
    sql
      .exec<{ id: string; until: number }>(
        'SELECT root_key AS id, until FROM root_keys_front WHERE until > ?',
        ctx.now() - MAX_SIGNED_LIFE_MS,
      )
      .toArray()
      .map(({ id, until }) => [id, instant(until + MAX_SIGNED_LIFE_MS)]),
  )
  const ofCheckKeys = rootKeysOfCheckKeys(sql)
  return [...new Set([...rootKeys.ids, ...neededRootKeys(ctx)])].map((id) => ({
    id,
    current: id === rootKeys.current,
    configured: rootKeys.ids.includes(id),
    tenants: counts.get(id) ?? 0,
    tokenCheck: ofCheckKeys.includes(id),
    clientTokensUntil: signed.get(id) ?? null,
  }))
}
