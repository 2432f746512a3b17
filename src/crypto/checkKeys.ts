/**
 * Check keys of API tokens: one random HMAC key for the whole installation, sealed by the root keys. The check at the end of a
 * token shows any holder of the key that the broker made the token, without a look-up. It is a filter, not an authority.
 */
import { base62, base64url, fromBase64url, randomBytes } from './encoding.ts'
import type { RootKeys } from './rootKeys.ts'
import { open, type Place, seal } from './seal.ts'

const KEY_BYTES = 32
/** 96 bits of the HMAC; RFC 2104 §5 asks for 80 at least. Nothing but an answer of the broker says whether a guess was right. */
const CHECK_BYTES = 12
/** Length of 96 bits in base62. */
export const CHECK_CHARACTERS = 17

const utf8 = new TextEncoder()

/** When a check key is used. `number` grows by one with each replacement. */
export interface CheckKeyTime {
  readonly number: number
  /** New tokens are made with it from then on, in milliseconds since 1970; until then the key before it is used. */
  readonly signsFrom: number
}

export interface SealedCheckKey extends CheckKeyTime {
  readonly sealed: string
  /** Grows with every move to another root key; the seal binds it. */
  readonly version: number
}

export interface CheckKey extends CheckKeyTime {
  readonly key: CryptoKey
}

/** A new random key, sealed with the current root key. */
export async function newCheckKey(keys: RootKeys, time: CheckKeyTime): Promise<SealedCheckKey> {
  const { number, signsFrom } = time
  const sealed = await seal(keys, placeOf({ number, version: 1 }), base64url(randomBytes(KEY_BYTES)))
  return { number, signsFrom, sealed, version: 1 }
}

/** The key, ready for use; `undefined` if no configured root key opens it. */
export async function openCheckKey(keys: RootKeys, it: SealedCheckKey): Promise<CheckKey | undefined> {
  const text = await open(keys, placeOf(it), it.sealed)
  if (text === undefined) return
  const bytes = fromBase64url(text)
  const key = await crypto.subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign'])
  return { number: it.number, signsFrom: it.signsFrom, key }
}

/** The same key sealed with the current root key, for the next version; `undefined` if it does not open. */
export async function resealCheckKey(keys: RootKeys, it: SealedCheckKey): Promise<SealedCheckKey | undefined> {
  const text = await open(keys, placeOf(it), it.sealed)
  if (text === undefined) return
  const version = it.version + 1
  return { ...it, version, sealed: await seal(keys, placeOf({ ...it, version }), text) }
}

/**
 * The key that new tokens are made with at this time (milliseconds since 1970); `undefined` without one. Clocks differ a little: before
 * the time of every key it is the oldest.
 */
export function signingKeyOf<K extends CheckKeyTime>(keys: readonly K[], now: number): K | undefined {
  let [oldest] = keys
  let newest: K | undefined
  for (const key of keys) {
    if (oldest && key.number < oldest.number) oldest = key
    if (key.signsFrom <= now && key.number > (newest?.number ?? -1)) newest = key
  }
  return newest ?? oldest
}

/** The check of a text: 17 characters of base62. */
export async function checkOf({ key }: CheckKey, text: string): Promise<string> {
  const mac = await crypto.subtle.sign('HMAC', key, utf8.encode(text))
  return base62(new Uint8Array(mac, 0, CHECK_BYTES), CHECK_CHARACTERS)
}

const placeOf = ({ number, version }: Pick<SealedCheckKey, 'number' | 'version'>): Place => ({
  purpose: 'token-check',
  tenant: '',
  record: `check-key ${number}`,
  version,
})
