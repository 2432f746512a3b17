/**
 * Moving a tenant's secrets to another root key, a bounded batch a call. The Account orders and calls again; how far it
 * is stands in the transaction that moved the secrets, so that a crash anywhere leaves nothing half done. A secret that
 * does not open is counted and left as it is. The version goes up with every move: what was sealed before opens no more.
 */
import { open, rootKeyOf, seal } from '../../crypto/seal.ts'
import { BrokerError } from '../../errors.ts'
import type { ResealOrder, ResealReport } from '../../rpc/reseal.ts'
import { audit } from '../../storage/audit.ts'
import type { TenantContext } from '../core/context.ts'
import { noteRootKey, rootKeysInUse } from '../core/rootKeyUse.ts'
import { tenantRecord } from '../core/tenantRow.ts'

interface Progress extends Record<string, SqlStorageValue> {
  number: number
  to_key: string
  key_seq: number
  credential_seq: number
  moved: number
  unreadable: number
  finished_at: number | null
}

/** A secret that is sealed with another root key than it should be. */
interface Sealed extends Record<string, SqlStorageValue> {
  seq: number
  record: string
  version: number
  sealed: string
}

/** One of the two tables that hold secrets. */
interface Kind {
  readonly table: 'turn_keys' | 'credentials'
  readonly version: 'secret_version' | 'sealed_version'
  readonly cursor: 'key_seq' | 'credential_seq'
  readonly purpose: 'turn-key-secret' | 'ice-password'
  /** SQL: the row's secret may still be asked for. Takes the time as its one binding. */
  readonly wanted: string
  readonly record: 'uid' | 'id'
}

const KINDS: readonly Kind[] = [
  {
    table: 'turn_keys',
    version: 'secret_version',
    cursor: 'key_seq',
    purpose: 'turn-key-secret',
    wanted: '? > 0 AND uid IS NOT NULL',
    record: 'uid',
  },
  {
    table: 'credentials',
    version: 'sealed_version',
    cursor: 'credential_seq',
    purpose: 'ice-password',
    wanted: "expires_at > ? AND state = 'live'",
    record: 'id',
  },
]

/**
 * 1. Refuse what this object cannot do or what was overtaken. 2. Look at the next rows. 3. Open and seal anew, outside
 * any transaction. 4. In one transaction: each secret that is still the same is replaced, and the cursor goes on.
 */
export async function reseal(ctx: TenantContext, order: ResealOrder): Promise<ResealReport> {
  if (ctx.config.rootKeys.current !== order.to) {
    throw new BrokerError('conflict', {
      detail: 'This object still runs with the previous ROOT_KEYS; it is asked again in 15 s.',
    })
  }
  const before = begin(ctx, order)
  const kind = KINDS.find((it) => before[it.cursor] < lastSeq(ctx, it))
  if (before.finished_at !== null) return report(ctx, before)
  if (!kind) return finish(ctx, before)

  const { upTo, rows } = next(ctx, { kind, after: Number(before[kind.cursor]), order })
  const anew = await Promise.all(rows.map((row) => sealedAnew(ctx, kind, row)))
  return ctx.transact(() => {
    const now = progress(ctx)
    // Another call of the same order was faster, or a newer order came: what was prepared here is dropped.
    if (now?.number !== before.number || now[kind.cursor] !== before[kind.cursor]) return report(ctx, now ?? before)
    const { moved, unreadable } = replace(ctx, kind, order, rows, anew)
    ctx.sql.exec(
      `UPDATE reseal SET ${kind.cursor} = ?, moved = moved + ?, unreadable = unreadable + ?`,
      upTo,
      moved,
      unreadable,
    )
    return report(ctx, progress(ctx) ?? before)
  })
}

/** The order's row; a newer order than the one there begins from the start. */
function begin(ctx: TenantContext, { number, to }: ResealOrder): Progress {
  const known = progress(ctx)
  if (known && known.number > number) throw new BrokerError('conflict', { detail: 'A newer order overtook this one.' })
  if (known?.number === number) return known
  return ctx.transact(() => {
    ctx.sql.exec(
      `INSERT INTO reseal (one, number, to_key) VALUES (1, ?, ?)
       ON CONFLICT DO UPDATE SET number = excluded.number, to_key = excluded.to_key, key_seq = 0, credential_seq = 0,
         moved = 0, unreadable = 0, finished_at = NULL`,
      number,
      to,
    )
    record(ctx, to, 'begun')
    const begun = progress(ctx)
    if (!begun) throw new BrokerError('internal')
    return begun
  })
}

const progress = (ctx: TenantContext): Progress | undefined =>
  ctx.sql.exec<Progress>('SELECT * FROM reseal').toArray()[0]

const lastSeq = ({ sql }: TenantContext, { table }: Kind): number =>
  sql.exec<{ last: number | null }>(`SELECT max(seq) AS last FROM ${table}`).one().last ?? 0

/** The next rows in their order, and of these the secrets that are to be moved. */
function next(
  ctx: TenantContext,
  { kind, after, order }: { kind: Kind; after: number; order: ResealOrder },
): { upTo: number; rows: Sealed[] } {
  const { table, record: name, version, wanted } = kind
  const looked = ctx.sql
    .exec<Sealed & { sealed: string | null; wanted: number }>(
      `SELECT seq, ${name} AS record, ${version} AS version, sealed, ${wanted} AS wanted FROM ${table}
       WHERE seq > ? ORDER BY seq LIMIT ?`,
      ctx.now(),
      after,
      order.limit,
    )
    .toArray()
  return {
    upTo: looked.at(-1)?.seq ?? lastSeq(ctx, kind),
    rows: looked.filter((row) => row.wanted === 1 && row.sealed !== null && rootKeyOf(row.sealed) !== order.to),
  }
}

async function sealedAnew(ctx: TenantContext, { purpose }: Kind, row: Sealed): Promise<string | undefined> {
  const { rootKeys } = ctx.config
  const { id: tenant } = tenantRecord(ctx)
  const { record: of, version } = row
  const secret = await open(rootKeys, { purpose, tenant, record: of, version }, row.sealed)
  if (secret === undefined) return
  return seal(rootKeys, { purpose, tenant, record: of, version: version + 1 }, secret)
}

/** Inside a transaction. What was erased, replaced or taken back meanwhile is left alone. */
function replace(
  ctx: TenantContext,
  { table, version }: Kind,
  order: ResealOrder,
  rows: readonly Sealed[],
  anew: readonly (string | undefined)[],
): { moved: number; unreadable: number } {
  let [moved, unreadable] = [0, 0]
  for (const [at, row] of rows.entries()) {
    const same = `seq = ? AND sealed = ? AND ${version} = ?`
    const sealed = anew[at]
    if (sealed !== undefined) {
      const sql = `UPDATE ${table} SET sealed = ?, ${version} = ${version} + 1 WHERE ${same} RETURNING 1`
      const replaced = ctx.sql.exec(sql, sealed, row.seq, row.sealed, row.version).toArray().length
      if (replaced > 0) noteRootKey(ctx, sealed)
      moved += replaced
    } else if (ctx.sql.exec(`SELECT 1 FROM ${table} WHERE ${same}`, row.seq, row.sealed, row.version).toArray()[0]) {
      unreadable++
      keepInUse(ctx, order, row.sealed)
    }
  }
  return { moved, unreadable }
}

/** The root key of a secret that could not be moved is still needed. */
function keepInUse(ctx: TenantContext, { number }: ResealOrder, sealed: string): void {
  const rootKey = rootKeyOf(sealed)
  if (rootKey === undefined) return
  ctx.sql.exec(
    'INSERT INTO sealed_with (root_key, since, kept_by) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET kept_by = excluded.kept_by',
    rootKey,
    ctx.now(),
    number,
  )
}

/** Everything was looked at: whatever was not met needs the old root keys no more. */
function finish(ctx: TenantContext, { number, to_key, unreadable }: Progress): ResealReport {
  return ctx.transact(() => {
    ctx.sql.exec('UPDATE reseal SET finished_at = ? WHERE number = ?', ctx.now(), number)
    ctx.sql.exec('DELETE FROM sealed_with WHERE root_key <> ? AND kept_by IS NOT ?', to_key, number)
    ctx.memory.sealedWith.clear()
    record(ctx, to_key, unreadable > 0 ? 'failed' : 'done')
    const finished = progress(ctx)
    if (!finished) throw new BrokerError('internal')
    return report(ctx, finished)
  })
}

const record = (ctx: TenantContext, target: string, outcome: 'begun' | 'done' | 'failed'): void =>
  audit(ctx.sql, ctx.now(), { actor: 'broker', action: 'root_key.reseal', target, outcome })

const report = (ctx: TenantContext, it: Progress): ResealReport => ({
  moved: it.moved,
  unreadable: it.unreadable,
  left:
    it.finished_at !== null
      ? 0
      : KINDS.reduce((sum, kind) => sum + Math.max(0, lastSeq(ctx, kind) - Number(it[kind.cursor])), 0),
  finished: it.finished_at !== null,
  rootKeys: rootKeysInUse(ctx),
})
