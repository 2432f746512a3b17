/** From a new key's stored secret to its place: proven by one mint, then switched in one commit. By the request, or its job. */
import type { FailedReply, Reply } from '../../cloudflare/reply.ts'
import { mergePolicy } from '../../contract/policy/policy.ts'
import type { Failure } from '../../errors.ts'
import type { Call } from '../../rpc/calls.ts'
import type { Job, JobOutcome } from '../../storage/jobs.ts'
import type { TenantContext } from '../core/context.ts'
import { tenantRecord } from '../core/tenantRow.ts'
import { publishKey } from '../turnKeys/cacheEntry.ts'
import { setSuccessor } from '../turnKeys/lineage.ts'
import { keyByIntent, keyBySeq, keyByUid, type NamedTurnKeyRow, type TurnKeyRow } from '../turnKeys/rows.ts'
import { openKey } from '../turnKeys/secret.ts'
import { transitionInTransaction } from './apply.ts'
import { askForProof, type Proof, recordProof } from './proof.ts'
import { lastExpiryOf } from './retire.ts'

/** What a job spends on one proof. */
const JOB_MS = 6_000

/** A key can be replaced while it is there, and once; one that upstream has lost too: that is its cure. */
export const mayBeReplaced = (old: TurnKeyRow | undefined): old is TurnKeyRow =>
  old !== undefined && (old.state === 'active' || old.state === 'missing') && old.successor === null

export async function rotationJob(ctx: TenantContext, { key: uid }: Job): Promise<JobOutcome> {
  const row = keyByUid(ctx.sql, uid)
  // The machine says when it is due again.
  if (row) await carryOnRotation(ctx, { intent: row.intent, until: ctx.now() + JOB_MS, by: undefined })
  return 'done'
}

interface CarryingOn {
  readonly intent: string
  readonly until: number
  readonly by: Call | undefined
}

/** `undefined` when the new key stands in the old one's place, or somebody else has ended it. */
export function carryOnRotation(ctx: TenantContext, { intent, until, by }: CarryingOn): Promise<Failure | undefined> {
  return ctx.serial.run(intent, async () => {
    const row = keyByIntent(ctx.sql, intent)
    if (!isToBeProven(row)) return
    const reply = mayBeReplaced(oldOf(ctx, row)) ? await prove(ctx, row, until) : NOT_ASKED
    const failure = ctx.transact(() => switchOver(ctx, row, reply, by))
    const { uid: oldUid } = oldOf(ctx, row) ?? { uid: null }
    await Promise.all([row.uid, oldUid].map((uid) => (uid === null ? undefined : publishKey(ctx, uid))))
    return failure
  })
}

const isToBeProven = (row: TurnKeyRow | undefined): row is NamedTurnKeyRow =>
  row?.state === 'creating' && row.uid !== null && row.replaces !== null

const oldOf = (ctx: TenantContext, { replaces }: TurnKeyRow): TurnKeyRow | undefined =>
  replaces === null ? undefined : keyBySeq(ctx.sql, replaces)

const NOT_ASKED: FailedReply = { kind: 'doubtful', reason: 'network' }

async function prove(ctx: TenantContext, row: NamedTurnKeyRow, until: number): Promise<Reply<Proof>> {
  try {
    const key = await openKey(ctx, row)
    return await askForProof(ctx, key, { until, makesSense: ({ kind }) => kind !== 'rate-limited' })
  } catch {
    // Its secret does not open: told as a doubt, so that it is given up in the end.
    return NOT_ASKED
  }
}

/** One commit: the new key mints, the old one does not any more, and all that named the old one means the new. */
function switchOver(
  ctx: TenantContext,
  row: NamedTurnKeyRow,
  reply: Reply<Proof>,
  by: Call | undefined,
): Failure | undefined {
  if (keyBySeq(ctx.sql, row.seq)?.state !== 'creating') return
  const found = oldOf(ctx, row)
  const old = mayBeReplaced(found) ? found : undefined
  if (reply.kind === 'ok') recordProof(ctx, row.uid, reply.value)
  const step = transitionInTransaction(
    ctx,
    row,
    {
      kind: 'proved',
      reply: reply.kind === 'ok' ? { kind: 'ok' } : reply,
      old: old && { name: old.pending_name ?? old.name },
    },
    by,
  )
  if (step.to !== 'active' || !old || old.uid === null) return step.failure
  setSuccessor(ctx.sql, old, row)
  const { chosen } = tenantRecord(ctx)
  if (chosen.defaultKeyId === old.uid) {
    const policy = mergePolicy(chosen, { defaultKeyId: row.uid })
    ctx.sql.exec('UPDATE tenant SET policy = ?', JSON.stringify(policy))
  }
  const revoke = row.retire_revokes === 1
  transitionInTransaction(ctx, old, { kind: 'replaced', revoke, lastExpiry: lastExpiryOf(ctx, old.uid) }, by)
  return
}
