/**
 * JWTs of a tenant's own identity provider. The tenant comes from the route and the issuer from the tenant's policy,
 * never from the token. jose checks signature, issuer, audience and times. This file checks header fields, keys,
 * lifetime, required claims and subject. The Tenant object checks again that its policy still has the issuer.
 */
import { importJWK, jwtVerify } from 'jose'
import * as z from 'zod/mini'
import { type IssuerPair, type Jwk, JwtAlgorithm, pairOf, type TenantIssuer } from '../contract/policy/issuers.ts'
import { Subject } from '../contract/resources/credentials.ts'
import { decodeCompact, MAX_JWT_CHARACTERS } from './compactJws.ts'
import type { KeysRequest } from './jwks.ts'

const CLOCK_SKEW_SECONDS = 30
/** Longest accepted lifetime of a token, 24 h. */
const MAX_LIFE_SECONDS = 86_400
const LEAST_RSA_BITS = 2_048
const LEAST_RSA_EXPONENT = 65_537
const LATEST_TIME = 253_402_300_799

/** `jku`, `x5u`, `x5c`, `jwk` are refused: keys come from the policy. `crit`, `b64` are refused: not supported. */
const Header = z.strictObject({
  alg: JwtAlgorithm,
  typ: z.optional(z.enum(['JWT', 'jwt', 'at+jwt', 'application/at+jwt'])),
  kid: z.optional(z.string().check(z.minLength(1), z.maxLength(256))),
  x5t: z.optional(z.string().check(z.maxLength(256))),
  'x5t#S256': z.optional(z.string().check(z.maxLength(256))),
  nonce: z.optional(z.string().check(z.maxLength(256))),
})

const Times = z.object({
  exp: z.int().check(z.minimum(0), z.maximum(LATEST_TIME)),
  iat: z.optional(z.int().check(z.minimum(0), z.maximum(LATEST_TIME))),
  nbf: z.optional(z.int().check(z.minimum(0), z.maximum(LATEST_TIME))),
})

export interface TenantJwt {
  readonly issuer: IssuerPair
  readonly subject: string
}

/** The issuers that a tenant trusts, and the look-up of the keys behind a `jwksUrl`. */
export interface TrustedIssuers {
  readonly issuers: readonly TenantIssuer[]
  readonly keysAt: (url: string, need: KeysRequest['need']) => Promise<readonly Jwk[]>
}

/** Whether a token has the form of such a JWT; if not, no look-up is made. Verifies nothing. */
export const isTenantJwt = (token: string): boolean => parse(token) !== undefined

/** The verified issuer and subject, or `undefined` if no issuer of the policy validates the token. */
export async function readTenantJwt(trust: TrustedIssuers, token: string, now: number): Promise<TenantJwt | undefined> {
  const parts = parse(token)
  if (!parts) return
  const { header, payload: unverified } = parts
  const issuer = trust.issuers.find(
    (candidate) => names(unverified, candidate) && candidate.algorithms.includes(header.alg),
  )
  if (!issuer) return
  const key = await keyFor(issuer, trust, header)
  if (!key) return
  try {
    const { payload } = await jwtVerify(token, key, {
      algorithms: [header.alg],
      issuer: issuer.issuer,
      audience: issuer.audience,
      requiredClaims: ['exp'],
      clockTolerance: CLOCK_SKEW_SECONDS,
      currentDate: new Date(now),
    })
    const { exp, iat } = Times.parse(payload)
    const seconds = now / 1_000
    // A token without `iat` counts as issued now.
    if (exp > seconds + MAX_LIFE_SECONDS) return
    if (iat !== undefined && (exp - iat > MAX_LIFE_SECONDS || iat > seconds + CLOCK_SKEW_SECONDS)) return
    if (!Object.entries(issuer.requiredClaims).every(([name, value]) => hasValue(claimOf(payload, name), value))) return
    const subject = Subject.safeParse(claimOf(payload, issuer.subjectClaim))
    return subject.success ? { issuer: pairOf(issuer), subject: subject.data } : undefined
  } catch {
    return
  }
}

function parse(token: string): { header: KnownHeader; payload: object } | undefined {
  if (token.length > MAX_JWT_CHARACTERS) return
  const parts = decodeCompact(token)
  const header = Header.safeParse(parts?.header)
  return parts && header.success ? { header: header.data, payload: parts.payload } : undefined
}

/** Whether an unverified payload names this issuer. The result only selects the keys for the signature check. */
function names(payload: object, { issuer, audience }: IssuerPair): boolean {
  return claimOf(payload, 'iss') === issuer && hasValue(claimOf(payload, 'aud'), audience)
}

/** An own property only: `__proto__` and inherited names are no claims. */
const claimOf = (payload: object, name: string): unknown =>
  Object.hasOwn(payload, name) ? Reflect.get(payload, name) : undefined

/** A claim has a value if it equals the value, or is an array (at most 100 items) that contains it. */
const hasValue = (claim: unknown, value: unknown): boolean =>
  claim === value || (Array.isArray(claim) && claim.length <= 100 && claim.includes(value))

type KnownHeader = z.infer<typeof Header>

async function keyFor(
  issuer: TenantIssuer,
  { keysAt }: TrustedIssuers,
  header: KnownHeader,
): Promise<CryptoKey | undefined> {
  const { jwksUrl } = issuer
  if (jwksUrl === undefined) return importMatching(issuer.jwks?.keys ?? [], header)
  const known = await importMatching(await keysAt(jwksUrl, 'any'), header)
  return known ?? importMatching(await keysAt(jwksUrl, 'lacking'), header)
}

/** The one key that matches: by `kid`, or, if the token has no `kid`, the only key for its algorithm. */
async function importMatching(keys: readonly Jwk[], { alg, kid }: KnownHeader): Promise<CryptoKey | undefined> {
  const matching = keys.filter((key) => (kid === undefined || key.kid === kid) && isFor(key, alg))
  const [jwk] = matching
  if (!jwk || matching.length > 1) return
  const known = importedKeys.get(jwk)?.get(alg)
  if (known) return known
  try {
    const key = await importJWK(jwk, alg)
    if (!(key instanceof CryptoKey)) return
    importedKeys.set(jwk, (importedKeys.get(jwk) ?? new Map()).set(alg, key))
    return key
  } catch {
    return
  }
}

/** Imported keys by JWK object, so that each fetched set is imported once. */
const importedKeys = new WeakMap<Jwk, Map<string, CryptoKey>>()

const CURVES: Readonly<Record<string, readonly string[]>> = {
  ES256: ['P-256'],
  ES384: ['P-384'],
  ES512: ['P-521'],
  EdDSA: ['Ed25519'],
}

function isFor(key: Jwk, alg: JwtAlgorithm): boolean {
  if ((key.use !== undefined && key.use !== 'sig') || (key.alg !== undefined && key.alg !== alg)) return false
  if (alg.startsWith('RS') || alg.startsWith('PS')) return key.kty === 'RSA' && isStrongRsa(key)
  const kty = alg === 'EdDSA' ? 'OKP' : 'EC'
  return key.kty === kty && key.crv !== undefined && (CURVES[alg] ?? []).includes(key.crv)
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
