/**
 * Proving a TURN key's secret: a credential of one minute is minted with it, given to no caller, and revoked at once. It takes
 * the connection for keys, not one of the mints': a new key must not wait for mints that hang on the key it replaces.
 */
import type { Minted } from '../../cloudflare/credentials.ts'
import { NOT_SENT } from '../../cloudflare/guardedTurnKeys.ts'
import type { FailedReply, Reply } from '../../cloudflare/reply.ts'
import { pause } from '../../concurrency/deadline.ts'
import { BrokerError } from '../../errors.ts'
import type { TenantContext } from '../core/context.ts'
import { insertCredential } from '../ledger/credentialRows.ts'
import { schedulePruning } from '../ledger/pruning.ts'
import { scheduleRevoking } from '../ledger/revocation.ts'
import { keepUrlList } from '../ledger/urlLists.ts'
import type { OpenedKey } from '../turnKeys/secret.ts'

const PROOF_TTL_SECONDS = 60
const ATTEMPT_MS = 1_800
/** A proof that has less time than this does not begin. */
export const SHORTEST_PROOF_MS = ATTEMPT_MS / 2
const MAX_ATTEMPTS = 3
const FIRST_PAUSE_MS = 250

export interface Proof {
  readonly minted: Minted
  readonly begunAt: number
}

/** What asking for a proof needs of the Tenant. */
type ProofContext = Pick<TenantContext, 'now' | 'credentials' | 'keySemaphore'>

interface Asking {
  /** Milliseconds since 1970. */
  readonly until: number
  readonly makesSense: (reply: FailedReply) => boolean
  /** What Cloudflare's statistics show of a credential that no ledger has. */
  readonly customIdentifier?: string
}

/**
 * Asks up to three times before `until`, as long as `makesSense` says so. If its turn does not come in time, nothing is sent and
 * the reply is `rate-limited` with `unasked`.
 */
export async function askForProof(ctx: ProofContext, key: OpenedKey, asking: Asking): Promise<Reply<Proof>> {
  const { until, makesSense } = asking
  for (let attempt = 1; ; attempt++) {
    const reply = await inTurn(ctx, key, asking)
    if (reply.kind === 'ok') return reply
    const pauseMs = FIRST_PAUSE_MS * 2 ** (attempt - 1)
    if (!makesSense(reply) || attempt >= MAX_ATTEMPTS || ctx.now() + pauseMs >= until) return reply
    await pause(pauseMs)
  }
}

/** One attempt. The wait for the connection leaves it its whole deadline, which begins with its turn. */
async function inTurn(ctx: ProofContext, key: OpenedKey, { until, customIdentifier }: Asking): Promise<Reply<Proof>> {
  const waitMs = Math.max(until - ctx.now() - ATTEMPT_MS, SHORTEST_PROOF_MS)
  try {
    return await ctx.keySemaphore.run(waitMs, async () => {
      const begunAt = ctx.now()
      const deadlineMs = Math.max(Math.min(ATTEMPT_MS, until - begunAt), SHORTEST_PROOF_MS)
      const input = { ttlSeconds: PROOF_TTL_SECONDS, customIdentifier }
      const reply = await ctx.credentials.mint(key, input, deadlineMs)
      return reply.kind === 'ok' ? { kind: 'ok', value: { minted: reply.value, begunAt } } : reply
    })
  } catch (error) {
    if (error instanceof BrokerError) return NOT_SENT
    throw error
  }
}

/** Inside the transaction that uses the proof: puts its credential on the ledger as `revoking`, with the job that revokes it. */
export function recordProof(ctx: TenantContext, uid: string, { minted, begunAt }: Proof): void {
  const expiresAt = begunAt + PROOF_TTL_SECONDS * 1_000
  // Loaded before the row is there, and counted as a restart of the object would count it.
  const live = ctx.live()
  const { seq } = insertCredential(ctx.sql, live.lastSeq, {
    username: minted.username,
    state: 'revoking',
    subjectId: null,
    keyUid: uid,
    origin: null,
    sealed: null,
    urlList: keepUrlList(ctx, minted.urls),
    issuedAt: begunAt,
    expiresAt,
  })
  live.minted(begunAt)
  live.add({ seq, keyUid: uid, issuedAt: begunAt, expiresAt }, 'revoking')
  scheduleRevoking(ctx)
  schedulePruning(ctx, expiresAt)
}
