/** Identity providers of a tenant: whose JWTs its own users may bring to the browser door, and what must be in them. */
import * as z from 'zod'

const MAX_ISSUERS = 10
const MAX_KEYS = 50

/** Signatures with a public key only: with a shared secret the tenant's provider and the broker could not be told apart. */
export const JWT_ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
] as const
export const JwtAlgorithm = z.enum(JWT_ALGORITHMS)
export type JwtAlgorithm = z.infer<typeof JwtAlgorithm>

const PublicKey = z
  .object({
    kty: z.enum(['RSA', 'EC', 'OKP']),
    kid: z.string().min(1).max(256).exactOptional(),
    use: z.string().max(16).exactOptional(),
    alg: z.string().max(16).exactOptional(),
    n: z.string().max(2_048).exactOptional(),
    e: z.string().max(16).exactOptional(),
    crv: z.string().max(16).exactOptional(),
    x: z.string().max(256).exactOptional(),
    y: z.string().max(256).exactOptional(),
  })
  .strip()

/** A public key (RFC 7517). Fields that are not needed to verify are ignored; a private or symmetric part is refused. */
export const Jwk = z
  .looseObject({})
  .refine((key) => !('d' in key) && !('k' in key), 'must be a public key')
  .pipe(PublicKey)
export type Jwk = z.infer<typeof Jwk>

const Jwks = z.object({ keys: z.array(Jwk).min(1).max(MAX_KEYS) })

const ClaimName = z.string().regex(/^[A-Za-z0-9_:./-]{1,128}$/)
const Text = z.string().min(1).max(255)

/** A record passes over `__proto__`, and a requirement must not be lost in silence. */
const RequiredClaims = z
  .custom<object>((it) => typeof it === 'object' && it !== null && !Object.hasOwn(it, '__proto__'))
  .pipe(z.record(ClaimName, z.union([z.string().max(255), z.number(), z.boolean()])))

const TenantIssuer = z
  .strictObject({
    /** `iss`, exactly. */
    issuer: Text,
    /** One of `aud`, exactly. */
    audience: Text,
    jwksUrl: z
      .string()
      .max(512)
      .refine(isJwksUrl, 'must be an https URL of a DNS name, port 443, without credentials')
      .exactOptional(),
    jwks: Jwks.exactOptional(),
    algorithms: z
      .array(JwtAlgorithm)
      .min(1)
      .refine((list) => new Set(list).size === list.length, 'must not repeat an algorithm'),
    /** The claim that names the subject. */
    subjectClaim: ClaimName.default('sub'),
    /** Claims that must have this value, or hold it in a list. */
    requiredClaims: RequiredClaims.default({}),
  })
  .refine((it) => (it.jwksUrl === undefined) !== (it.jwks === undefined), 'must have exactly one of jwksUrl, jwks')
export type TenantIssuer = z.infer<typeof TenantIssuer>

export const TenantIssuers = z
  .array(TenantIssuer)
  .max(MAX_ISSUERS)
  .refine((list) => new Set(list.map(issuerName)).size === list.length, 'must not repeat an issuer and audience')

/** The pair that belongs to one tenant. */
export interface IssuerPair {
  readonly issuer: string
  readonly audience: string
}

export const pairOf = ({ issuer, audience }: IssuerPair): IssuerPair => ({ issuer, audience })

function issuerName(it: IssuerPair): string {
  return JSON.stringify([it.issuer, it.audience])
}

/**
 * https, port 443, a DNS name with a dot that is no IP address, no credentials, no fragment. Written in ASCII without
 * blanks, so that an operator who reads it sees the name that is asked: a parser drops or rewrites the rest.
 */
function isJwksUrl(text: string): boolean {
  if (!/^https:\/\/[\x21-\x7e]+$/i.test(text) || !URL.canParse(text)) return false
  const url = new URL(text)
  const { hostname } = url
  const isName = /^(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/.test(hostname)
  const isPrivate = /(^|\.)(localhost|local|internal|home\.arpa)$/.test(hostname)
  return (
    url.protocol === 'https:' && url.port === '' && !url.username && !url.password && !url.hash && isName && !isPrivate
  )
}
