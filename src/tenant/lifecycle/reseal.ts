/**
 * Resealing a tenant's secrets under another root key, one bounded batch a call. The Account orders it and calls until it is
 * done. The progress is stored in the transaction that replaces the secrets, so that a crash leaves nothing half done. A
 * secret that does not open is counted and left as it is. Each move raises the secret's version: older texts do not open.
 */
import { rootKeyOf } from '../../crypto/seal.ts'
import { BrokerError } from '../../errors.ts'
import type { ResealOrder, ResealReport } from '../../rpc/reseal.ts'
import { audit } from '../../storage/audit.ts'
import type { TenantContext } from '../core/context.ts'
import { forgetRootKeys, keepRootKey, noteRootKey, rootKeysInUse } from '../core/rootKeyUse.ts'
import {
  holdsPassword,
  lastCredentialSeq,
  replaceSealedPassword,
  sealedCredentialsAfter,
} from '../ledger/credentialRows.ts'
import { resealPassword } from '../ledger/password.ts'
import { keyBySeq, lastKeySeq, sealedKeysAfter } from '../turnKeys/rows.ts'
import { resealSecret } from '../turnKeys/secret.ts'
import { replaceSealedKey } from '../turnKeys/writes.ts'

interface Progress extends Record<string, SqlStorageValue> {
  number: number
  to_key: string
  key_seq: number
  credential_seq: number
  moved: number
  unreadable: number
  finished_at: number | null
}

/** A sealed text, as a reseal walks over them. */
interface Sealed {
  readonly seq: number
  readonly version: number
  readonly sealed: string
  /** The same secret sealed with the current root key, for the next version; `undefined` when it does not open. */
  readonly reseal: () => Promise<string | undefined>
}

/** One of the two tables that hold sealed texts. */
interface SealedTable {
  readonly cursor: 'key_seq' | 'credential_seq'
  readonly lastSeq: (sql: SqlStorage) => number
  /** The next rows by `seq`; of these, the texts that a caller may still ask for. */
  readonly rowsAfter: (ctx: TenantContext, after: number, limit: number) => { upTo: number; sealed: Sealed[] }
  /** Inside a transaction: replaces the text if it is still the same. Whether it was. */
  readonly replace: (sql: SqlStorage, was: Sealed, sealed: string) => boolean
  /** Whether the row still holds this text. */
  readonly holds: (sql: SqlStorage, was: Sealed) => boolean
}

const TABLES: readonly SealedTable[] = [
  {
    cursor: 'key_seq',
    lastSeq: lastKeySeq,
    rowsAfter(ctx, after, limit) {
      const rows = sealedKeysAfter(ctx.sql, after, limit)
      const sealed = rows.flatMap(({ uid, sealed, seq, version }) =>
        uid === null || sealed === null
          ? []
          : [{ seq, version, sealed, reseal: () => resealSecret(ctx, { uid, version, sealed }) }],
      )
      return { upTo: rows.at(-1)?.seq ?? lastKeySeq(ctx.sql), sealed }
    },
    replace: replaceSealedKey,
    holds: (sql, { seq, version, sealed }) => {
      const row = keyBySeq(sql, seq)
      return row?.sealed === sealed && row.secret_version === version
    },
  },
  {
    cursor: 'credential_seq',
    lastSeq: lastCredentialSeq,
    rowsAfter(ctx, after, limit) {
      const rows = sealedCredentialsAfter(ctx.sql, { after, limit, now: ctx.now() })
      const sealed = rows.flatMap(({ username, sealed, seq, version, live }) =>
        live === 0 || sealed === null
          ? []
          : [{ seq, version, sealed, reseal: () => resealPassword(ctx, { username, version, sealed }) }],
      )
      return { upTo: rows.at(-1)?.seq ?? lastCredentialSeq(ctx.sql), sealed }
    },
    replace: replaceSealedPassword,
    holds: (sql, { seq, version, sealed }) => holdsPassword(sql, { seq, version, sealed }),
  },
]

/**
 * 1. Refuse an order that this object cannot carry out, or that a newer one replaced. 2. Read the next rows. 3. Open and
 * seal again, outside any transaction. 4. In one transaction: replace each secret that is still the same, and move the
 * cursor.
 */
export async function reseal(ctx: TenantContext, order: ResealOrder): Promise<ResealReport> {
  if (ctx.config.rootKeys.current !== order.to) {
    throw new BrokerError('conflict', {
      detail: 'This object still runs with the previous ROOT_KEYS; it is asked again in 15 s.',
    })
  }
  const before = startOrder(ctx, order)
  const table = TABLES.find(({ cursor, lastSeq }) => before[cursor] < lastSeq(ctx.sql))
  if (before.finished_at !== null) return report(ctx, before)
  if (!table) return finish(ctx, before)

  const { upTo, sealed } = table.rowsAfter(ctx, Number(before[table.cursor]), order.limit)
  const old = sealed.filter((text) => rootKeyOf(text.sealed) !== order.to)
  const moves = await Promise.all(old.map(async (was) => ({ was, resealed: await was.reseal() })))
  return ctx.transact(() => {
    const current = progress(ctx)
    // Another call of the same order was faster, or a newer order came: this batch is dropped.
    if (current?.number !== before.number || current[table.cursor] !== before[table.cursor]) {
      return report(ctx, current ?? before)
    }
    const { moved, unreadable } = replaceAll(ctx, table, order, moves)
    ctx.sql.exec(
      `UPDATE reseal SET ${table.cursor} = ?, moved = moved + ?, unreadable = unreadable + ?`,
      upTo,
      moved,
      unreadable,
    )
    return report(ctx, progress(ctx) ?? before)
  })
}

/** The order's row; a newer order starts from the first row. */
function startOrder(ctx: TenantContext, { number, to }: ResealOrder): Progress {
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
    auditReseal(ctx, to, 'begun')
    const begun = progress(ctx)
    if (!begun) throw new BrokerError('internal')
    return begun
  })
}

const progress = (ctx: TenantContext): Progress | undefined =>
  ctx.sql.exec<Progress>('SELECT * FROM reseal').toArray()[0]

/** Inside a transaction. A text that was erased or replaced meanwhile is left alone. */
function replaceAll(
  ctx: TenantContext,
  table: SealedTable,
  order: ResealOrder,
  moves: readonly { readonly was: Sealed; readonly resealed: string | undefined }[],
): { moved: number; unreadable: number } {
  let [moved, unreadable] = [0, 0]
  for (const { was, resealed } of moves) {
    if (resealed !== undefined) {
      if (!table.replace(ctx.sql, was, resealed)) continue
      noteRootKey(ctx, resealed)
      moved++
    } else if (table.holds(ctx.sql, was)) {
      unreadable++
      const rootKey = rootKeyOf(was.sealed)
      if (rootKey !== undefined) keepRootKey(ctx, rootKey, order.number)
    }
  }
  return { moved, unreadable }
}

/** Every row was read: root keys that no secret needs are forgotten. */
function finish(ctx: TenantContext, { number, to_key, unreadable }: Progress): ResealReport {
  return ctx.transact(() => {
    ctx.sql.exec('UPDATE reseal SET finished_at = ? WHERE number = ?', ctx.now(), number)
    forgetRootKeys(ctx, to_key, number)
    auditReseal(ctx, to_key, unreadable > 0 ? 'failed' : 'done')
    const finished = progress(ctx)
    if (!finished) throw new BrokerError('internal')
    return report(ctx, finished)
  })
}

const auditReseal = (ctx: TenantContext, target: string, outcome: 'begun' | 'done' | 'failed'): number =>
  audit(ctx.sql, ctx.now(), { actor: 'broker', action: 'root_key.reseal', target, outcome })

const report = (ctx: TenantContext, order: Progress): ResealReport => ({
  moved: order.moved,
  unreadable: order.unreadable,
  left:
    order.finished_at !== null
      ? 0
      : TABLES.reduce((sum, { cursor, lastSeq }) => sum + Math.max(0, lastSeq(ctx.sql) - Number(order[cursor])), 0),
  finished: order.finished_at !== null,
  rootKeys: rootKeysInUse(ctx),
})
