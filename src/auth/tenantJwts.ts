/**
 * JWTs of a tenant's own identity provider. The tenant comes from the route and the issuer from its policy, never from
 * the token. The library checks signature, issuer, audience and times; what it leaves open is refused here first.
 * Whether the issuer still counts is the Tenant's last word.
 */
import { importJWK, jwtVerify } from 'jose'
import * as z from 'zod'
import { type IssuerPair, type Jwk, JwtAlgorithm, pairOf, type TenantIssuer } from '../contract/policy/issuers.ts'
import { Subject } from '../contract/resources/credentials.ts'
import { decodeCompact, MAX_JWT_CHARACTERS } from './compactJws.ts'
import type { Needing } from './jwks.ts'

const CLOCK_SKEW_SECONDS = 30
/** A token that lives longer than this is not an access token. */
const MAX_LIFE_SECONDS = 86_400
const LEAST_RSA_BITS = 2_048
const LEAST_RSA_EXPONENT = 65_537
const LATEST_TIME = 253_402_300_799

/** No `jku`, `x5u`, `x5c`, `jwk`: keys come from the policy. No `crit`, `b64`: nothing is understood that is not here. */
const Header = z.strictObject({
  alg: JwtAlgorithm,
  typ: z.enum(['JWT', 'jwt', 'at+jwt', 'application/at+jwt']).optional(),
  kid: z.string().min(1).max(256).optional(),
  x5t: z.string().max(256).optional(),
  'x5t#S256': z.string().max(256).optional(),
  nonce: z.string().max(256).optional(),
})

const Times = z.object({
  exp: z.int().min(0).max(LATEST_TIME),
  iat: z.int().min(0).max(LATEST_TIME).optional(),
  nbf: z.int().min(0).max(LATEST_TIME).optional(),
})

export interface TenantJwt {
  readonly issuer: IssuerPair
  readonly subject: string
}

/** Whose JWTs are good, and how the keys behind a `jwksUrl` are come by. */
export interface Trust {
  readonly issuers: readonly TenantIssuer[]
  readonly keysAt: (url: string, need: Needing['need']) => Promise<readonly Jwk[]>
}

/** Whether a token has the form of such a JWT: what has not is worth no look-up. Nothing is verified. */
export const isTenantJwt = (token: string): boolean => parse(token) !== undefined

/** What the token says of a user, or `undefined`: no issuer of the policy stands behind it. */
export async function readTenantJwt(trust: Trust, token: string, now: number): Promise<TenantJwt | undefined> {
  const parts = parse(token)
  if (!parts) return
  const { header, payload: claimed } = parts
  const issuer = trust.issuers.find((it) => names(claimed, it) && it.algorithms.includes(header.alg))
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
    // Without a time of issue it counts as issued now.
    if (exp > seconds + MAX_LIFE_SECONDS) return
    if (iat !== undefined && (exp - iat > MAX_LIFE_SECONDS || iat > seconds + CLOCK_SKEW_SECONDS)) return
    if (!Object.entries(issuer.requiredClaims).every(([name, value]) => holds(own(payload, name), value))) return
    const subject = Subject.safeParse(own(payload, issuer.subjectClaim))
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

/** Before the signature is checked this only chooses whose keys to check it with. */
function names(payload: object, { issuer, audience }: IssuerPair): boolean {
  return own(payload, 'iss') === issuer && holds(own(payload, 'aud'), audience)
}

const own = (of: object, name: string): unknown => (Object.hasOwn(of, name) ? Reflect.get(of, name) : undefined)

const holds = (claim: unknown, value: unknown): boolean =>
  claim === value || (Array.isArray(claim) && claim.length <= 100 && claim.includes(value))

type KnownHeader = z.infer<typeof Header>

async function keyFor(issuer: TenantIssuer, { keysAt }: Trust, header: KnownHeader): Promise<CryptoKey | undefined> {
  const { jwksUrl } = issuer
  if (jwksUrl === undefined) return imported(issuer.jwks?.keys ?? [], header)
  const known = await imported(await keysAt(jwksUrl, 'any'), header)
  return known ?? imported(await keysAt(jwksUrl, 'lacking'), header)
}

/** The one key that fits: by its id, or, if the token names none, the only one of its kind. */
async function imported(keys: readonly Jwk[], { alg, kid }: KnownHeader): Promise<CryptoKey | undefined> {
  const fitting = keys.filter((key) => (kid === undefined || key.kid === kid) && fits(key, alg))
  const [jwk] = fitting
  if (!jwk || fitting.length > 1) return
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

/** Keys imported once for each set that was fetched. */
const importedKeys = new WeakMap<Jwk, Map<string, CryptoKey>>()

const CURVES: Readonly<Record<string, readonly string[]>> = {
  ES256: ['P-256'],
  ES384: ['P-384'],
  ES512: ['P-521'],
  EdDSA: ['Ed25519'],
}

function fits(key: Jwk, alg: JwtAlgorithm): boolean {
  if ((key.use !== undefined && key.use !== 'sig') || (key.alg !== undefined && key.alg !== alg)) return false
  if (alg.startsWith('RS') || alg.startsWith('PS')) return key.kty === 'RSA' && isSoundRsa(key)
  const kty = alg === 'EdDSA' ? 'OKP' : 'EC'
  return key.kty === kty && key.crv !== undefined && (CURVES[alg] ?? []).includes(key.crv)
}

function isSoundRsa({ n, e }: Jwk): boolean {
  const modulus = numberOf(n)
  const exponent = numberOf(e)
  if (modulus === undefined || exponent === undefined) return false
  return modulus.toString(2).length >= LEAST_RSA_BITS && exponent >= BigInt(LEAST_RSA_EXPONENT) && exponent % 2n === 1n
}

function numberOf(text: string | undefined): bigint | undefined {
  try {
    const hex = Uint8Array.fromBase64(text ?? '', { alphabet: 'base64url' }).toHex()
    return hex === '' ? undefined : BigInt(`0x${hex}`)
  } catch {
    return
  }
}
