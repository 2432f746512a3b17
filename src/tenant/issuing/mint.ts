/**
 * Asks Cloudflare for a credential: over a connection of the object's own, or, when those are taken, over the one that the caller
 * lends; again after a fault that may pass, within one deadline. Stores nothing and counts nothing.
 */
import type { Minted } from '../../cloudflare/credentials.ts'
import { failureOf } from '../../cloudflare/failures.ts'
import type { Reply } from '../../cloudflare/reply.ts'
import { pause, within } from '../../concurrency/deadline.ts'
import { BrokerError, errorOf } from '../../errors.ts'
import type { Lend } from '../../rpc/issuing.ts'
import type { TenantContext } from '../core/context.ts'
import { revokeUnrecorded } from '../ledger/revocation.ts'
import type { MintInFlight } from '../memory/mintInFlight.ts'
import type { OpenedKey } from '../turnKeys/secret.ts'

/** Leaves time, within the route's 5 s, for the commit and the way back. */
export const MINT_DEADLINE_MS = 4_500
/** One hung connection must not use up the time of the attempts after it. */
const ATTEMPT_MS = 1_800
const MAX_RETRIES = 3
const FIRST_PAUSE_MS = 80
/** How long after its deadline a lent call is waited for: its answer comes over RPC. */
const LENT_MARGIN_MS = 250
/** Statuses of Cloudflare for a secret that it does not accept. */
const KEY_REFUSED = [401, 403, 404]

/** Cloudflare does not accept this key's secret: perhaps it has no such key any more. */
export class KeyRefused extends BrokerError {
  readonly uid: string
  constructor(uid: string) {
    super('upstream_failed')
    this.uid = uid
  }
}

/** What asking for a credential needs of the Tenant. */
export type MintContext = Pick<TenantContext, 'now' | 'credentials' | 'mints' | 'waitUntil' | 'revocationSemaphore'>

/** The caller who lent its connection has hung up: whether Cloudflare minted is unknown, and no caller was given it. */
export class CallerGone extends BrokerError {
  constructor() {
    super('broker_busy', { retryAfterSeconds: 1 })
  }
}

interface MintInput {
  readonly ttlSeconds: number
  readonly customIdentifier: string | undefined
  /** When the caller must have been answered, in milliseconds since 1970. */
  readonly until: number
  readonly flight: Pick<MintInFlight, 'replaced'>
  readonly lend: Lend
}

/**
 * A mint may be repeated, because a credential whose answer was lost was handed to no caller. `undefined`: the key was
 * replaced. Throws `KeyRefused`, `CallerGone` or upstream's failure; `begunAt` in milliseconds since 1970, just before the last attempt.
 */
export async function mintUpstream(
  ctx: MintContext,
  key: OpenedKey,
  input: MintInput,
): Promise<{ minted: Minted; begunAt: number } | undefined> {
  const { until, flight } = input
  refuseWhileOpen(ctx)
  for (let retry = 0; ; retry++) {
    const { reply, begunAt } = await attempt(ctx, key, input)
    if (reply?.kind === 'ok') return { minted: reply.value, begunAt }
    if (reply === undefined || flight.replaced) return
    if (reply.kind === 'refused' && KEY_REFUSED.includes(reply.status)) throw new KeyRefused(key.uid)
    const pauseMs = FIRST_PAUSE_MS * 2 ** retry * (0.5 + Math.random())
    if (!isPassing(reply) || retry >= MAX_RETRIES || ctx.now() + pauseMs >= until) throw errorOf(failureOf(reply))
    await pause(pauseMs)
    // The breaker opened during the pause: this mint fails with the failure of its own attempt.
    if (ctx.mints.circuitBreaker.refuses(ctx.now())) throw errorOf(failureOf(reply))
  }
}

/** One attempt, with its own deadline. No reply: the key was replaced before the turn of this mint came. */
function attempt(ctx: MintContext, key: OpenedKey, input: MintInput): Promise<Attempt> {
  const { semaphore } = ctx.mints
  // An idle object pays no further hop: its own connections come first.
  if (input.lend && semaphore.free === 0) return attemptOver(ctx, key, input, lentConnection(ctx, key, input.lend))
  return semaphore.run(input.until - ctx.now(), () => attemptOver(ctx, key, input, ctx.credentials.mint))
}

interface Attempt {
  readonly reply: Reply<Minted> | undefined
  /** Just before the request, in milliseconds since 1970. */
  readonly begunAt: number
}

async function attemptOver(
  ctx: MintContext,
  key: OpenedKey,
  { ttlSeconds, customIdentifier, until, flight }: MintInput,
  mint: TenantContext['credentials']['mint'],
): Promise<Attempt> {
  const { circuitBreaker } = ctx.mints
  const begunAt = ctx.now()
  if (flight.replaced) return { reply: undefined, begunAt }
  refuseWhileOpen(ctx)
  const ended = circuitBreaker.begin()
  let failed = true
  try {
    const deadlineMs = Math.max(1, Math.min(ATTEMPT_MS, until - begunAt))
    const reply = await mint(key, { ttlSeconds, customIdentifier }, deadlineMs)
    failed = isPassing(reply)
    return { reply, begunAt }
  } catch (error) {
    // Says nothing of Cloudflare, so it does not count for the breaker.
    if (error instanceof CallerGone) failed = false
    throw error
  } finally {
    ended({ failed, at: ctx.now() })
  }
}

/** Mints over the caller's connection. What it brings after its deadline was given to no caller: it is revoked. */
function lentConnection(
  ctx: MintContext,
  key: OpenedKey,
  lend: NonNullable<Lend>,
): TenantContext['credentials']['mint'] {
  return (opened, input, deadlineMs) => {
    let late = false
    const asked = ctx.credentials.mint(opened, input, deadlineMs, (call) =>
      lend(call).catch(() => {
        throw new CallerGone()
      }),
    )
    void asked.then(
      (reply) => {
        if (late && reply.kind === 'ok') ctx.waitUntil(revokeUnrecorded(ctx, key, reply.value.username))
      },
      () => undefined,
    )
    return within(deadlineMs + LENT_MARGIN_MS, asked, (): Reply<Minted> => {
      late = true
      return { kind: 'doubtful', reason: 'timeout' }
    })
  }
}

/** Fail fast while the breaker is open, so that the outage fallback answers now. */
function refuseWhileOpen({ mints, now }: MintContext): void {
  if (mints.circuitBreaker.refuses(now())) throw new BrokerError('upstream_unavailable', { retryAfterSeconds: 1 })
}

/** Faults that may be over in a moment. A refusal is none, nor is an answer that could be read and is wrong. */
const isPassing = (reply: Reply<Minted>): boolean => reply.kind === 'doubtful' && reply.reason !== 'malformed'
