/** Objects with many rows in every table that grows, as years of use would leave them. */
import { runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../broker/clock.ts'
import { runJobs } from '../storage/storage.ts'
import { accountStub, tenantStub } from '../storage/tenantRows.ts'
import { killObjects } from '../tenants/issuing.ts'
import { makeOnlyDue } from './jobs.ts'

/** 10^4 rows of each kind; `G15_ROWS=100000` asks for more. */
export const ROWS = Number(env.G15_ROWS || 10_000)

/** The numbers from 0 to below ROWS, as `i`. */
const NUMBERS = 'WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?)'

/** The id of the n-th row, as fill writes it. That of a credential has its `seq`, which begins with 1. */
export const idOf = (prefix: 'su' | 'cr' | 'rv' | 'bn', n: number): string => `${prefix}_${String(n).padStart(22, '0')}`
const ID = (prefix: string, n: string) => `'${prefix}_' || printf('%022d', ${n})`

type Insert = readonly [sql: string, ...bindings: SqlStorageValue[]]

const run = (stub: DurableObjectStub, inserts: readonly Insert[]): Promise<void> =>
  runInDurableObject(stub, (_, { storage }) =>
    storage.transactionSync(() => {
      for (const [sql, ...bindings] of inserts) storage.sql.exec(sql, ...bindings)
    }),
  )

/** Live credentials of a thousand subjects, subjects, revocations, bans, audit events, ended keys, records of requests. */
export async function fillTenant(id: string, uid: string): Promise<void> {
  const now = Date.now()
  const from = (columns: string, values: string, table: string, ...bindings: SqlStorageValue[]): Insert => [
    `INSERT INTO ${table} (${columns}) ${NUMBERS} SELECT ${values} FROM n`,
    ROWS,
    ...bindings,
  ]
  await run(tenantStub(id), [
    ["INSERT OR IGNORE INTO url_lists (id, urls, used_at) VALUES (1, '[]', ?)", now],
    from('id, subject, used_at', `${ID('su', 'i')}, 'subject ' || i, ?`, 'subjects', now - MINUTE_MS),
    from(
      'id, username, state, subject_id, key_uid, url_list, issued_at, expires_at',
      `${ID('cr', 'i + 1')}, 'user-' || i, 'live', ${ID('su', 'i % 1000')}, ?, 1, ?, ? + i`,
      'credentials',
      uid,
      now - 2 * MINUTE_MS,
      now + 40 * HOUR_MS,
    ),
    from(
      'id, selector, matched, revoked, created_at',
      `${ID('rv', 'i')}, '{"all":true}', 1, 1, ?`,
      'revocations',
      now - HOUR_MS,
    ),
    from(
      'id, subject_id, until, created_at',
      `${ID('bn', 'i')}, ${ID('su', 'i')}, ?, ?`,
      'bans',
      now + DAY_MS,
      now - HOUR_MS,
    ),
    ['UPDATE bans SET lifted_at = ?, ended_at = ? WHERE seq % 2 = 0', now - HOUR_MS, now - HOUR_MS],
    ["UPDATE marks SET value = (SELECT count(*) FROM bans WHERE ended_at IS NULL) WHERE name = 'open-bans'"],
    ["UPDATE marks SET value = (SELECT count(ended_at) FROM bans) WHERE name = 'ended-bans'"],
    from(
      'at, actor, action, subject_id, outcome',
      `?, 'api-token:x', 'credential.issue', ${ID('su', 'i % 1000')}, 'done'`,
      'audit_events',
      now - MINUTE_MS,
    ),
    from(
      'intent, uid, state, name, begun_at, state_at',
      "'i' || i, 'u' || i, 'deleted', 'old', ?, ?",
      'turn_keys',
      now - DAY_MS,
      now - DAY_MS,
    ),
    from(
      'route, key, body_hash, target, created_at',
      "'turn-keys', 'key-' || i, 'k1.x', 'target-' || i, ?",
      'idempotency',
      now - HOUR_MS,
    ),
  ])
  // A new object counts the rows, and the pruning stores the counts.
  await killObjects()
  await makeOnlyDue(tenantStub(id), 'prune', '')
  await runJobs(id)
}

/** Tombstones and tenants, their issuers, keys, creations, root keys, rows of a reseal, and the trail. */
export function fillAccount(): Promise<void> {
  const now = Date.now()
  const from = (columns: string, values: string, table: string, ...bindings: SqlStorageValue[]): Insert => [
    `INSERT INTO ${table} (${columns}) ${NUMBERS} SELECT ${values} FROM n`,
    ROWS,
    ...bindings,
  ]
  return run(accountStub(), [
    from('id, name, region, state, created_at', "'gone-' || i, '', 'weur', 'deleted', ?", 'tenants', now),
    from('issuer, claim, value, tenant', "'https://idp.example', 'aud', 'a' || i, 'gone-' || i", 'issuers'),
    from('uid, tenant, claimed_at', "'u' || i, 'gone-' || (i % 100), ?", 'turn_key_owners', now),
    from('intent, tenant, at', "'i' || i, 'gone-' || i, ?", 'creations', now),
    from('root_key, tenant, noted_at', "'k1', 'gone-' || i, ?", 'root_key_uses', now),
    [
      "INSERT INTO root_key_counts VALUES ('k1', ?) ON CONFLICT DO UPDATE SET tenants = tenants + excluded.tenants",
      ROWS,
    ],
    from('tenant, state, number', "'gone-' || i, 'done', 1", 'reseals'),
    from('at, actor, action, outcome', "?, 'admin:token', 'tenant.create', 'done'", 'audit_events', now),
    from(
      'route, key, body_hash, target, created_at',
      "'tenants', 'key-' || i, 'k1.x', 'target-' || i, ?",
      'idempotency',
      now,
    ),
  ])
}
