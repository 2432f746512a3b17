/** Which public key verifies a tenant's JWT: the one that fits by `kid`, kind, curve and strength. Fetches nothing itself. */
import type { Jwk, JwtAlgorithm, TenantIssuer } from '../contract/policy/issuers.ts'
import type { JwtReason } from '../contract/policy/jwtReasons.ts'
import type { KeysRequest } from './jwks.ts'
import { algorithmIn, ownValue, sameAlgorithm } from './jwtValues.ts'

const LEAST_RSA_BITS = 2_048
const LEAST_RSA_EXPONENT = 65_537

/** The keys behind a `jwksUrl`. */
export type KeysAt = (url: string, need: KeysRequest['need']) => Promise<readonly Jwk[]>

/** The key that verifies a token with this header, or the reason why there is none. The header met its rules. */
export async function keyFor(
  { jwksUrl, jwks }: TenantIssuer,
  header: object,
  keysAt: KeysAt,
): Promise<Jwk | JwtReason> {
  if (jwksUrl === undefined) return matching(jwks?.keys ?? [], header)
  const known = matching(await keysAt(jwksUrl, 'any'), header)
  return typeof known === 'object' ? known : matching(await keysAt(jwksUrl, 'lacking'), header)
}

/** The one key that matches: by `kid`, or, if the token has no `kid`, the only key for its algorithm. */
function matching(keys: readonly Jwk[], header: object): Jwk | JwtReason {
  if (keys.length === 0) return 'key_set_unavailable'
  const alg = algorithmIn(header)
  const kid = ownValue(header, 'kid')
  const named = keys.filter((key) => kid === undefined || key.kid === kid)
  const fitting = named.filter((key) => alg !== undefined && isFor(key, alg))
  const [jwk] = fitting
  if (!jwk || alg === undefined) return named.length > 0 ? 'key_unusable' : 'key_unknown'
  if (fitting.length > 1) return 'key_ambiguous'
  // jose imports a key once for each object, and takes `alg` by the letter: here `Ed25519` is `EdDSA`.
  return jwk.alg === undefined || jwk.alg === alg ? jwk : { ...jwk, alg }
}

const CURVES: Readonly<Record<string, string>> = {
  ES256: 'P-256',
  ES384: 'P-384',
  ES512: 'P-521',
  EdDSA: 'Ed25519',
  Ed25519: 'Ed25519',
}

/** Whether one of the keys can verify one of the algorithms. */
export const hasKeyFor = (keys: readonly Jwk[], algorithms: readonly JwtAlgorithm[]): boolean =>
  keys.some((key) => algorithms.some((alg) => isFor(key, alg)))

function isFor(key: Jwk, alg: JwtAlgorithm): boolean {
  if (key.use !== undefined && key.use !== 'sig') return false
  if (key.alg !== undefined && sameAlgorithm(key.alg) !== sameAlgorithm(alg)) return false
  const curve = CURVES[alg]
  if (curve === undefined) return key.kty === 'RSA' && isStrongRsa(key)
  return key.kty === (curve === 'Ed25519' ? 'OKP' : 'EC') && key.crv === curve
}

function isStrongRsa({ n, e }: Jwk): boolean {
  const modulus = bigintOf(n)
  const exponent = bigintOf(e)
  if (modulus === undefined || exponent === undefined) return false
  return modulus.toString(2).length >= LEAST_RSA_BITS && exponent >= BigInt(LEAST_RSA_EXPONENT) && exponent % 2n === 1n
}

function bigintOf(text: string | undefined): bigint | undefined {
  try {
    const hex = Uint8Array.fromBase64(text ?? '', { alphabet: 'base64url' }).toHex()
    return hex === '' ? undefined : BigInt(`0x${hex}`)
  } catch {
    return
  }
}
