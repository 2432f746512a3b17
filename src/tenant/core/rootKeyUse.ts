/**
 * Which root keys this tenant's secrets need. A key is noted in the transaction that first stores something it sealed and
 * told to the Account by the job `mirror`; it is forgotten when a reseal has found that nothing needs it any more.
 */
import { rootKeyOf } from '../../crypto/seal.ts'
import { MIRROR_JOB } from './changes.ts'
import type { ReadContext, TenantContext } from './context.ts'

const TOLD_AFTER_MS = 500

/** Inside the transaction that stores a sealed text. Costs a mint nothing: what was noted once is remembered. */
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

export const rootKeysInUse = (ctx: Pick<TenantContext, 'sql'>): string[] =>
  ctx.sql
    .exec<{ root_key: string }>('SELECT root_key FROM sealed_with ORDER BY root_key')
    .toArray()
    .map((row) => row.root_key)
