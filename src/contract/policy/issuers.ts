/** Schema of a tenant's identity providers: whose JWTs are accepted at the browser door, and which claims they need. */
import * as z from 'zod/mini'

const MAX_ISSUERS = 10
const MAX_KEYS = 50

/** Public-key signatures only. With a shared secret (HS256) the broker itself could sign JWTs of the provider. */
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

const PublicKey = z.object({
  kty: z.enum(['RSA', 'EC', 'OKP']),
  kid: z.exactOptional(z.string().check(z.minLength(1), z.maxLength(256))),
  use: z.exactOptional(z.string().check(z.maxLength(16))),
  alg: z.exactOptional(z.string().check(z.maxLength(16))),
  n: z.exactOptional(z.string().check(z.maxLength(2_048))),
  e: z.exactOptional(z.string().check(z.maxLength(16))),
  crv: z.exactOptional(z.string().check(z.maxLength(16))),
  x: z.exactOptional(z.string().check(z.maxLength(256))),
  y: z.exactOptional(z.string().check(z.maxLength(256))),
})

/** A public key (RFC 7517). Fields not needed for verification are dropped. Private and symmetric keys are refused. */
export const Jwk = z.pipe(
  z.looseObject({}).check(z.refine((key) => !('d' in key) && !('k' in key), 'must be a public key')),
  PublicKey,
)
export type Jwk = z.infer<typeof Jwk>

const Jwks = z.object({ keys: z.array(Jwk).check(z.minLength(1), z.maxLength(MAX_KEYS)) })

const ClaimName = z.string().check(z.regex(/^[A-Za-z0-9_:./-]{1,128}$/))
const Text = z.string().check(z.minLength(1), z.maxLength(255))

/** `z.record` skips `__proto__`, which would silently drop a required claim. So it is refused. */
const RequiredClaims = z.pipe(
  z.custom<object>((claims) => typeof claims === 'object' && claims !== null && !Object.hasOwn(claims, '__proto__')),
  z.record(ClaimName, z.union([z.string().check(z.maxLength(255)), z.number(), z.boolean()])),
)

const TenantIssuer = z
  .strictObject({
    /** Must equal the `iss` claim. */
    issuer: Text,
    /** Must equal the `aud` claim, or one of its items. */
    audience: Text,
    jwksUrl: z.exactOptional(
      z
        .string()
        .check(
          z.maxLength(512),
          z.refine(
            isJwksUrl,
            'must be an https URL of a DNS name, port 443, without credentials, written as it is requested',
          ),
        ),
    ),
    jwks: z.exactOptional(Jwks),
    algorithms: z.array(JwtAlgorithm).check(
      z.minLength(1),
      z.refine((list) => new Set(list).size === list.length, 'must not repeat an algorithm'),
    ),
    /** Name of the claim that holds the subject. */
    subjectClaim: z._default(ClaimName, 'sub'),
    /** Claims that must equal this value, or be an array that contains it. */
    requiredClaims: z._default(RequiredClaims, {}),
  })
  .check(
    z.refine(
      ({ jwksUrl, jwks }) => (jwksUrl === undefined) !== (jwks === undefined),
      'must have exactly one of jwksUrl, jwks',
    ),
  )
export type TenantIssuer = z.infer<typeof TenantIssuer>

export const TenantIssuers = z.array(TenantIssuer).check(
  z.maxLength(MAX_ISSUERS),
  z.refine((list) => new Set(list.map(issuerName)).size === list.length, 'must not repeat an issuer and audience'),
)

/** Issuer and audience. A pair belongs to at most one tenant. */
export interface IssuerPair {
  readonly issuer: string
  readonly audience: string
}

export const pairOf = ({ issuer, audience }: IssuerPair): IssuerPair => ({ issuer, audience })

function issuerName({ issuer, audience }: IssuerPair): string {
  return JSON.stringify([issuer, audience])
}

/**
 * https, port 443, a DNS name with a dot, not an IP address, no credentials, no fragment. ASCII without white space:
 * a URL parser drops or rewrites other characters, and an operator would then read another name than the one fetched.
 */
function isJwksUrl(text: string): boolean {
  if (!/^https:\/\/[\x21-\x7e]+$/i.test(text) || !URL.canParse(text)) return false
  const url = new URL(text)
  // Only the form in which it will be requested: no spelling that another reader takes for another host.
  if (url.href !== text) return false
  const { hostname } = url
  const isName = /^(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/.test(hostname)
  const isPrivate = /(^|\.)(localhost|local|internal|home\.arpa)$/.test(hostname)
  return (
    url.protocol === 'https:' && url.port === '' && !url.username && !url.password && !url.hash && isName && !isPrivate
  )
}
