/**
 * The table `sealed_with`: which root keys this tenant's secrets need. Only this file writes it. A root key is noted in
 * the transaction that first stores something it sealed, and the job `mirror` reports it to the Account. It is forgotten
 * when a reseal has found that no secret needs it.
 */
import { rootKeyOf } from '../../crypto/seal.ts'
import { MIRROR_JOB } from './changes.ts'
import type { ReadContext, TenantContext } from './context.ts'

const TOLD_AFTER_MS = 500

/** Inside the transaction that stores a sealed text. Costs a mint no row: a root key that was noted is remembered. */
export function noteRootKey(ctx: ReadContext & Pick<TenantContext, 'memory' | 'jobs'>, sealed: string | null): void {
  const rootKey = sealed === null ? undefined : rootKeyOf(sealed)
  const { sealedWith } = ctx.memory
  if (rootKey === undefined || sealedWith.has(rootKey)) return
  const isNew = ctx.sql.exec(
    'INSERT INTO sealed_with (root_key, since) VALUES (?, ?) ON CONFLICT DO NOTHING RETURNING 1',
    rootKey,
    ctx.now(),
  )
  if (isNew.toArray().length > 0) ctx.jobs.put(MIRROR_JOB, '', ctx.now() + TOLD_AFTER_MS)
  sealedWith.add(rootKey)
}

/** A secret that could not be moved still needs this root key; `reseal`: the number of the order that found it. */
export function keepRootKey(ctx: Pick<TenantContext, 'sql' | 'now'>, rootKey: string, reseal: number): void {
  ctx.sql.exec(
    'INSERT INTO sealed_with (root_key, since, kept_by) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET kept_by = excluded.kept_by',
    rootKey,
    ctx.now(),
    reseal,
  )
}

/** At the end of a reseal: every root key but `current` and those that the order itself kept. */
export function forgetRootKeys(ctx: Pick<TenantContext, 'sql' | 'memory'>, current: string, reseal: number): void {
  ctx.sql.exec('DELETE FROM sealed_with WHERE root_key <> ? AND kept_by IS NOT ?', current, reseal)
  ctx.memory.sealedWith.clear()
}

export const rootKeysInUse = (ctx: Pick<TenantContext, 'sql'>): string[] =>
  ctx.sql
    .exec<{ root_key: string }>('SELECT root_key FROM sealed_with ORDER BY root_key')
    .toArray()
    .map((row) => row.root_key)
