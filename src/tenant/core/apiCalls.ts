/**
 * Taking calls of Cloudflare's API out of the account's budget, before they are made. Who pays follows from the reason of a call: what
 * a tenant or an operator ordered is theirs, also when a job carries it out; `recovery` is for what is in doubt.
 */
import type { Caller } from '../../auth/caller.ts'
import type { Reply } from '../../cloudflare/reply.ts'
import { BrokerError, errorOf, type Failure, type Result, unwrap } from '../../errors.ts'
import type { Spending } from '../../rpc/budget.ts'
import type { Job, JobOutcome } from '../../storage/jobs.ts'
import type { TenantContext } from './context.ts'
import { tenantRecord } from './tenantRow.ts'

type CallPurpose = Spending['purpose']
type Ctx = Pick<TenantContext, 'sql' | 'account' | 'waitUntil'>

const FIRST_WAIT_MS = 2_000
const LONGEST_WAIT_MS = 300_000

/** What a caller orders is paid out of the operators' share or the tenant's own. */
export const purposeOf = ({ kind }: Caller): CallPurpose => (kind === 'operator' ? 'operator' : 'tenant')

const spendingOf = (ctx: Pick<Ctx, 'sql'>, purpose: CallPurpose): Spending => {
  const { id, policy } = tenantRecord(ctx)
  return { tenant: id, limit: policy.maxApiCallsPer5Min, purpose }
}

/** Asks for one call; the answer says whether it may be made. `intent`: of the creation it is for. */
export function askForCall(
  ctx: Pick<Ctx, 'sql' | 'account'>,
  purpose: CallPurpose,
  intent?: string,
): Promise<Result<void>> {
  const spending = spendingOf(ctx, purpose)
  return ctx.account.spend(intent === undefined ? spending : { ...spending, intent })
}

/** Takes one call out of the budget; throws `rate_limited`, or what the Account's failure is, when there is none. */
export async function spendCall(
  ctx: Pick<Ctx, 'sql' | 'account'>,
  purpose: CallPurpose,
  intent?: string,
): Promise<void> {
  unwrap(await askForCall(ctx, purpose, intent))
}

/** A call that was paid for and not made. Not waited for: at worst the call counts for its 5 minutes. */
function giveBack(ctx: Ctx, purpose: CallPurpose): void {
  ctx.waitUntil(ctx.account.giveBack(spendingOf(ctx, purpose)).catch(() => undefined))
}

/** Makes a call that is paid for already; one that waited in vain for its turn, and was not sent, is given back. */
export async function sendPaid<T>(ctx: Ctx, purpose: CallPurpose, send: () => Promise<Reply<T>>): Promise<Reply<T>> {
  const reply = await send()
  if (reply.kind === 'rate-limited' && reply.unsent) giveBack(ctx, purpose)
  return reply
}

/** Pays for the calls of one order. A call that was taken before the order was stored is used first. */
export class Purse {
  readonly #ctx: Ctx
  readonly #purpose: CallPurpose
  #prepaid = false

  constructor(ctx: Ctx, purpose: CallPurpose) {
    this.#ctx = ctx
    this.#purpose = purpose
  }

  /**
   * Takes a call before the order is stored. Throws `rate_limited`: over its share nothing is ordered. Any other failure is returned:
   * the order is stored, and its job asks again.
   */
  async prepay(): Promise<Failure | undefined> {
    const failure = await this.prepayStored()
    if (failure?.code === 'rate_limited') throw errorOf(failure)
    return failure
  }

  /** Takes a call for an order that is stored already: whatever the failure, its job asks again. */
  async prepayStored(): Promise<Failure | undefined> {
    const asked = await askForCall(this.#ctx, this.#purpose)
    this.#prepaid = asked.ok
    return asked.ok ? undefined : asked.failure
  }

  /** Takes a call, unless one is prepaid, and makes it. Throws the refusal of the budget. */
  async pay<T>(send: () => Promise<Reply<T>>): Promise<Reply<T>> {
    if (!this.#prepaid) await spendCall(this.#ctx, this.#purpose)
    this.#prepaid = false
    return sendPaid(this.#ctx, this.#purpose, send)
  }

  /** Gives back a prepaid call that was not needed. */
  close(): void {
    if (this.#prepaid) giveBack(this.#ctx, this.#purpose)
    this.#prepaid = false
  }
}

/** Runs a job that carries out an order. While the tenant's share is spent, the job waits, longer each time. */
export async function withinShare(
  ctx: Pick<TenantContext, 'now'>,
  { attempt }: Job,
  work: () => Promise<JobOutcome>,
): Promise<JobOutcome> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof BrokerError) || error.failure.code !== 'rate_limited') throw error
    // Many orders that wait must not all ask again when the first call is free.
    const waitMs = Math.min(FIRST_WAIT_MS * 2 ** Math.min(attempt, 20), LONGEST_WAIT_MS)
    return { againAt: ctx.now() + Math.max(waitMs, (error.failure.retryAfterSeconds ?? 0) * 1_000), failed: true }
  }
}
