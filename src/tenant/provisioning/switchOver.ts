/** The second half of a rotation, by the request or its job: one mint proves the new key, then one commit switches over. */
import type { FailedReply, Reply } from '../../cloudflare/reply.ts'
import { mergePolicy } from '../../contract/policy/policy.ts'
import type { Failure } from '../../errors.ts'
import type { Call } from '../../rpc/calls.ts'
import type { Job, JobOutcome } from '../../storage/jobs.ts'
import type { TenantContext } from '../core/context.ts'
import { setPolicy, tenantRecord } from '../core/tenantRow.ts'
import { publishKey } from '../turnKeys/cacheEntry.ts'
import { keyByIntent, keyBySeq, keyByUid, type NamedTurnKeyRow, type TurnKeyRow } from '../turnKeys/rows.ts'
import { openKey } from '../turnKeys/secret.ts'
import { setSuccessor } from '../turnKeys/writes.ts'
import { transitionInTransaction } from './apply.ts'
import { askForProof, type Proof, recordProof } from './proof.ts'

/** How long a job may take for one proof. */
const JOB_MS = 6_000

/** A key can be rotated once, while it is active, or missing at Cloudflare: the rotation repairs that. */
export const mayBeReplaced = (old: TurnKeyRow | undefined): old is TurnKeyRow =>
  old !== undefined && (old.state === 'active' || old.state === 'missing') && old.successor === null

export async function rotationJob(ctx: TenantContext, { key: uid }: Job): Promise<JobOutcome> {
  const row = keyByUid(ctx.sql, uid)
  // The state machine schedules the next run.
  if (row) await resumeRotation(ctx, { intent: row.intent, until: ctx.now() + JOB_MS, by: undefined })
  return 'done'
}

interface Resumption {
  readonly intent: string
  readonly until: number
  readonly by: Call | undefined
}

/** `undefined`: the new key has taken over, or another event ended the rotation. */
export function resumeRotation(ctx: TenantContext, { intent, until, by }: Resumption): Promise<Failure | undefined> {
  return ctx.mutex.run(intent, async () => {
    const row = keyByIntent(ctx.sql, intent)
    if (!isToBeProven(row)) return
    const reply = mayBeReplaced(oldOf(ctx, row)) ? await prove(ctx, row, until) : NOT_ASKED
    const failure = ctx.transact(() => switchOver(ctx, row, reply, by))
    const { uid: oldUid } = oldOf(ctx, row) ?? { uid: null }
    // Not waited for: the answer shows a secret that is shown once, and what becomes of the old key goes on meanwhile.
    for (const uid of [row.uid, oldUid]) if (uid !== null) ctx.waitUntil(publishKey(ctx, uid))
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
    // The secret does not open: reported as an unknown outcome, so that the rotation fails in the end.
    return NOT_ASKED
  }
}

/** One commit: the new key mints, the old one stops, and every reference to the old key leads to the new one. */
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
    setPolicy(ctx, mergePolicy(chosen, { defaultKeyId: row.uid }))
  }
  const revoke = row.retire_revokes === 1
  transitionInTransaction(
    ctx,
    old,
    { kind: 'replaced', revoke, lastExpiry: ctx.live().lastExpiry(old.uid, ctx.now()) },
    by,
  )
  return
}
