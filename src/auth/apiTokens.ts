/**
 * Format of an API token: `tb_{tenant}_{id}_{secret}{check}`. The secret has 256 random bits. The check is a truncated HMAC of
 * what stands before it: without a look-up it shows whether the broker made the token. Whether the token is valid, only the
 * Tenant says, which stores the SHA-256 of the whole token.
 */
import { API_TOKEN_ID_CHARACTERS } from '../contract/values.ts'
import { CHECK_CHARACTERS, type CheckKey, checkOf, signingKeyOf } from '../crypto/checkKeys.ts'
import { sameDigest, sha256 } from '../crypto/digest.ts'
import { base62, randomBytes } from '../crypto/encoding.ts'
import type { Caller } from './caller.ts'

export type ApiTokenCaller = Caller & { readonly kind: 'api-token' }

const SECRET_BYTES = 32
const SECRET_CHARACTERS = 43

const SHAPE = new RegExp(
  `^(tb_([a-z0-9][a-z0-9-]{0,31})_([0-9A-Za-z]{${API_TOKEN_ID_CHARACTERS}})_[0-9A-Za-z]{${SECRET_CHARACTERS}})([0-9A-Za-z]{${CHECK_CHARACTERS}})$`,
)

/** A text with the form of an API token. Anyone can write one. */
export interface ApiTokenText {
  readonly tenant: string
  readonly id: string
  /** All that stands before the check. */
  readonly body: string
  readonly check: string
}

/**
 * What the check says. `current`: made with the key that is in use, or with one that will be. `older`: with one that was
 * replaced. `forged`: with none of the keys, so the broker never made this token.
 */
export type Proof = 'current' | 'older' | 'forged'

/** A new token id of 71 random bits. It is unique within a tenant and not secret. */
export const newApiTokenId = (): string => {
  const id = base62(randomBytes(9), API_TOKEN_ID_CHARACTERS + 1)
  return id.slice(-API_TOKEN_ID_CHARACTERS)
}

/** A new token for an id, and the SHA-256 digest (base64url) to store. */
export async function newApiToken(
  { tenant, id }: { readonly tenant: string; readonly id: string },
  checkKey: CheckKey,
): Promise<{ token: string; digest: string }> {
  const body = `tb_${tenant}_${id}_${base62(randomBytes(SECRET_BYTES), SECRET_CHARACTERS)}`
  const token = body + (await checkOf(checkKey, body))
  return { token, digest: await sha256(token) }
}

/** Checks the syntax only. */
export function parseApiToken(text: string): ApiTokenText | undefined {
  const [, body, tenant, id, check] = SHAPE.exec(text) ?? []
  if (body === undefined || tenant === undefined || id === undefined || check === undefined) return
  return { tenant, id, body, check }
}

/** The number of the key that the check was made with. Compares with that of each key, newest first, in constant time for each. */
export async function checkKeyOf(
  { body, check }: ApiTokenText,
  keys: readonly CheckKey[],
): Promise<number | undefined> {
  for (const key of keys.toSorted((a, b) => b.number - a.number)) {
    if (sameDigest(check, await checkOf(key, body))) return key.number
  }
  return
}

/** What a check says that was made with the key of this number. `now`: milliseconds since 1970. */
export function proofBy(number: number | undefined, keys: readonly CheckKey[], now: number): Proof {
  if (number === undefined || !keys.some((key) => key.number === number)) return 'forged'
  const signing = signingKeyOf(keys, now)
  return signing && number < signing.number ? 'older' : 'current'
}

/** What the check of a token says. `now`: milliseconds since 1970. */
export const proveApiToken = async (token: ApiTokenText, keys: readonly CheckKey[], now: number): Promise<Proof> =>
  proofBy(await checkKeyOf(token, keys), keys, now)

/** The caller that the token claims to be. */
export async function apiTokenCaller(token: ApiTokenText): Promise<ApiTokenCaller> {
  const { tenant, id, body, check } = token
  return { kind: 'api-token', tenant, id, digest: await sha256(body + check) }
}
