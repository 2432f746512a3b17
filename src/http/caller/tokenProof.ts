/**
 * What the check of an API token says, with the check keys that the isolate remembers. A good token is known with the keys that KV or
 * the Account gave. A forged one is refused with keys that the Account gave within the last minute, because KV is no authority.
 * So forged tokens cause one question of the Account in a minute, however many come.
 */
import {
  type ApiTokenCaller,
  type ApiTokenText,
  apiTokenCaller,
  checkKeyOf,
  type Proof,
  proofBy,
} from '../../auth/apiTokens.ts'
import { readCheckKeys } from '../../cache/entries.ts'
import { within } from '../../concurrency/deadline.ts'
import { type CheckKey, openCheckKey, type SealedCheckKey, signingKeyOf } from '../../crypto/checkKeys.ts'
import type { Ctx } from '../context.ts'
import { LOOK_UP_MS } from '../isolateCache.ts'
import { accountObject, call } from '../objects.ts'

/** Shorter than the time after which the Account uses a new check key (account/tokenCheck). */
const CONFIRMED_MS = 60_000
/** For KV, and again for the Account. */
const ANSWER_MS = LOOK_UP_MS / 2

/** A token that is not forged. */
export interface Proven {
  /** `unknown`: the Account does not give check keys that a configured root key opens, and those in KV do not prove the token. */
  readonly proof: Exclude<Proof, 'forged'> | 'unknown'
  readonly caller: ApiTokenCaller
}

/** `undefined`: the token is forged. */
export async function proofOf(c: Ctx, token: ApiTokenText): Promise<Proven | undefined> {
  const cache = c.get('isolateCache')
  if (!cache.checkKeys) await lookUp(c)
  const known = cache.checkKeys
  if (!known) return unknown(token)
  const proven = await prove(c, token, known.keys)
  if (proven) {
    // Whether the key was replaced meanwhile is for the next requests.
    if (Date.now() - known.lookedUpAt > CONFIRMED_MS) void lookUp(c)
    return proven
  }
  if (Date.now() - known.confirmedAt <= CONFIRMED_MS) return
  // The token may be made with a key that this isolate does not know.
  if (!(await confirm(c))) return unknown(token)
  return prove(c, token, (cache.checkKeys ?? known).keys)
}

const unknown = async (token: ApiTokenText): Promise<Proven> => ({
  proof: 'unknown',
  caller: await apiTokenCaller(token),
})

/** The check of a token is computed once: from then on its digest shows that it is the same token. */
async function prove(c: Ctx, token: ApiTokenText, keys: readonly CheckKey[]): Promise<Proven | undefined> {
  const { provenTokens } = c.get('isolateCache')
  const name = `${token.tenant} ${token.id}`
  const before = provenTokens.get(name)
  if (before) {
    const caller = await apiTokenCaller(token)
    const proof = proofBy(before.keyNumber, keys, Date.now())
    if (caller.digest === before.digest && proof !== 'forged') return { proof, caller }
  }
  const keyNumber = await checkKeyOf(token, keys)
  const proof = proofBy(keyNumber, keys, Date.now())
  if (keyNumber === undefined || proof === 'forged') return
  const caller = await apiTokenCaller(token)
  provenTokens.set(name, { digest: caller.digest, keyNumber })
  return { proof, caller }
}

/** Both are shared by parallel requests, and come at most once in 5 s, also where they find nothing. They never reject. */
const lookUp = (c: Ctx): Promise<boolean> => shared(c, 'look up', () => findKeys(c))
const confirm = (c: Ctx): Promise<boolean> => shared(c, 'confirm', () => askAccount(c))

const shared = (c: Ctx, what: string, work: () => Promise<boolean>): Promise<boolean> =>
  c.get('isolateCache').checkKeyLookUps.get(what, work, (running) => c.executionCtx.waitUntil(running))

async function findKeys(c: Ctx): Promise<boolean> {
  const keys = await opened(c, readCheckKeys(c.env.CACHE))
  if (!keys) return askAccount(c)
  const { checkKeys } = c.get('isolateCache')
  remember(c, keys, checkKeys?.confirmedAt ?? Number.NEGATIVE_INFINITY)
  return true
}

async function askAccount(c: Ctx): Promise<boolean> {
  const keys = await opened(
    c,
    call(accountObject(c).checkKeysForEdge()).catch(() => undefined),
  )
  if (!keys) {
    console.error(JSON.stringify({ level: 'error', event: 'check_keys_unknown' }))
    return false
  }
  remember(c, keys, Date.now())
  return true
}

/** KV may still show an older copy: the isolate keeps what it knows then. */
function remember(c: Ctx, keys: readonly CheckKey[], confirmedAt: number): void {
  const cache = c.get('isolateCache')
  const newest = (of: readonly CheckKey[]) => Math.max(...of.map(({ number }) => number))
  const known = cache.checkKeys?.keys
  const isOlder = known !== undefined && newest(known) > newest(keys)
  cache.checkKeys = { keys: isOlder ? known : keys, lookedUpAt: Date.now(), confirmedAt }
}

/** The keys that a configured root key opens; `undefined` if they are late, or if the one in use does not open. */
async function opened(
  c: Ctx,
  asked: Promise<readonly SealedCheckKey[] | undefined>,
): Promise<readonly CheckKey[] | undefined> {
  const sealed = await within(ANSWER_MS, asked, () => undefined)
  const signing = sealed && signingKeyOf(sealed, Date.now())
  if (!signing) return
  const { rootKeys } = c.get('config')
  const keys = (await Promise.all(sealed.map((key) => openCheckKey(rootKeys, key)))).filter((key) => key !== undefined)
  return keys.some(({ number }) => number === signing.number) ? keys : undefined
}
