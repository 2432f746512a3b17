/**
 * The check keys of API tokens: made once, handed out sealed, copied to KV, moved to a new root key, and replaced when an
 * operator orders it. Operations run one after the other.
 */
import { actorOf } from '../../auth/caller.ts'
import { CHECK_KEYS_KEY, type CheckKeysEntry, FORMAT } from '../../cache/entries.ts'
import { within } from '../../concurrency/deadline.ts'
import { KeyedMutex } from '../../concurrency/keyedMutex.ts'
import type { TokenCheckView } from '../../contract/resources/tokenCheck.ts'
import { instant } from '../../contract/values.ts'
import { newCheckKey, resealCheckKey, type SealedCheckKey, signingKeyOf } from '../../crypto/checkKeys.ts'
import { rootKeyOf } from '../../crypto/seal.ts'
import type { Call } from '../../rpc/calls.ts'
import { audit } from '../../storage/audit.ts'
import type { JobOutcome } from '../../storage/jobs.ts'
import type { AccountContext } from '../core/context.ts'
import { checkKeyRows, insertCheckKey, replaceSealedCheckKey } from './checkKeyRows.ts'

/** Writes the copy to KV where that failed at the change itself; the job has no key. */
export const CHECK_KEYS_JOB = 'check-keys'
const COPY_AGAIN_MS = 2_000
const PUT_DEADLINE_MS = 1_500
/** A put without an answer keeps its connection for this long. */
const HELD_MS = 30_000
/** KV forgets the copy after this; the next edge that misses it asks the Account, which writes it again. */
const KEPT_SECONDS = 30 * 86_400
/** Edges that find no copy cause at most one put in this time. */
const BETWEEN_COPIES_MS = 10_000
/**
 * A replacement is used after this time. An edge refuses a token as forged with keys that it had from here within the last 60 s: by then
 * it knows the new key before it meets the first token that is made with it.
 */
const REPLACED_AFTER_MS = 90_000

export class TokenCheck {
  readonly #mutex = new KeyedMutex()
  readonly #kv: KVNamespace
  #copiedAt = Number.NEGATIVE_INFINITY
  #putHeldUntil = Number.NEGATIVE_INFINITY

  constructor(kv: KVNamespace) {
    this.#kv = kv
  }

  /** All keys that are kept, newest first. The first call makes the first key. */
  keys(ctx: AccountContext): Promise<SealedCheckKey[]> {
    const known = checkKeyRows(ctx.sql)
    return known.length > 0 ? Promise.resolve(known) : this.#alone(() => this.#firstKey(ctx))
  }

  /** The same for an edge, which did not find them in KV: they are copied there. */
  async keysForEdge(ctx: AccountContext): Promise<SealedCheckKey[]> {
    const keys = await this.keys(ctx)
    if (ctx.now() - this.#copiedAt >= BETWEEN_COPIES_MS) {
      this.#copiedAt = ctx.now()
      ctx.waitUntil(this.copyJob(ctx))
    }
    return keys
  }

  /** Makes the next key. Tokens are made with it 90 s later; a repeat within that time changes nothing. */
  replace(ctx: AccountContext, { caller, requestId }: Call): Promise<TokenCheckView> {
    return this.#alone(async () => {
      const known = checkKeyRows(ctx.sql)
      const keys = known.length > 0 ? known : await this.#firstKey(ctx)
      if (keys.some(({ signsFrom }) => signsFrom > ctx.now())) return describe(keys, ctx.now())
      const number = (keys[0]?.number ?? 0) + 1
      const next = await newCheckKey(ctx.rootKeys, { number, signsFrom: ctx.now() + REPLACED_AFTER_MS })
      ctx.transact(() => {
        insertCheckKey(ctx.sql, next)
        const event = {
          actor: actorOf(caller),
          action: 'token_check.replace',
          target: String(number),
          requestId,
        } as const
        audit(ctx.sql, ctx.now(), { ...event, outcome: 'done' })
        orderCopy(ctx)
      })
      await this.#copyNow(ctx)
      return describe(checkKeyRows(ctx.sql), ctx.now())
    })
  }

  /** Moves every key that opens to the current root key. A key that does not open stays as it is. */
  reseal(ctx: AccountContext): Promise<void> {
    return this.#alone(async () => {
      const old = checkKeyRows(ctx.sql).filter(({ sealed }) => rootKeyOf(sealed) !== ctx.rootKeys.current)
      if (old.length === 0) return
      const moves = await Promise.all(old.map(async (was) => ({ was, moved: await resealCheckKey(ctx.rootKeys, was) })))
      ctx.transact(() => {
        for (const { was, moved } of moves) if (moved) replaceSealedCheckKey(ctx.sql, was, moved)
        // Until KV has the new copy, an edge that cannot open the old one asks the Account.
        orderCopy(ctx)
      })
      await this.#copyNow(ctx)
    })
  }

  async view(ctx: AccountContext): Promise<TokenCheckView> {
    return describe(await this.keys(ctx), ctx.now())
  }

  /** Job: writes the copy. */
  copyJob(ctx: AccountContext): Promise<JobOutcome> {
    return this.#alone(async () => ((await this.#copy(ctx)) ? 'done' : 'retry'))
  }

  async #firstKey(ctx: AccountContext): Promise<SealedCheckKey[]> {
    const first = await newCheckKey(ctx.rootKeys, { number: 1, signsFrom: ctx.now() })
    ctx.transact(() => insertCheckKey(ctx.sql, first))
    return checkKeyRows(ctx.sql)
  }

  /** Carries out what `orderCopy` ordered. If that fails, the job goes on. */
  async #copyNow(ctx: AccountContext): Promise<void> {
    if (await this.#copy(ctx)) ctx.transact(() => ctx.jobs.remove(CHECK_KEYS_JOB, ''))
  }

  /** Whether KV took what is true now, in time. Never rejects. A put cannot be aborted: the next one waits for its connection. */
  async #copy(ctx: AccountContext): Promise<boolean> {
    if (ctx.now() < this.#putHeldUntil) return false
    this.#putHeldUntil = ctx.now() + HELD_MS
    const entry: CheckKeysEntry = { v: FORMAT, keys: checkKeyRows(ctx.sql) }
    const put = this.#put(entry).finally(() => {
      this.#putHeldUntil = Number.NEGATIVE_INFINITY
    })
    return within(PUT_DEADLINE_MS, put, () => false)
  }

  async #put(entry: CheckKeysEntry): Promise<boolean> {
    try {
      await this.#kv.put(CHECK_KEYS_KEY, JSON.stringify(entry), { expirationTtl: KEPT_SECONDS })
      return true
    } catch {
      return false
    }
  }

  #alone<T>(operation: () => Promise<T>): Promise<T> {
    return this.#mutex.run('', operation)
  }
}

/** Inside a transaction. */
const orderCopy = (ctx: AccountContext): void => ctx.jobs.put(CHECK_KEYS_JOB, '', ctx.now() + COPY_AGAIN_MS)

function describe(keys: readonly SealedCheckKey[], now: number): TokenCheckView {
  const current = signingKeyOf(keys, now)?.number ?? 0
  return {
    keys: keys.map(({ number, signsFrom, sealed }) => ({
      number,
      state: number === current ? 'current' : number > current ? 'next' : 'older',
      signsFrom: instant(signsFrom),
      rootKey: rootKeyOf(sealed) ?? '',
    })),
  }
}
