/** Schema of a tenant's identity providers: whose JWTs are accepted at the browser door, and which claims they need. */
import * as z from 'zod/mini'

const MAX_ISSUERS = 10
const MAX_KEYS = 50
const MAX_AUDIENCES = 10
const MAX_CLAIM_PATHS = 20
const MAX_PATH_NAMES = 8
const DEFAULT_LIFETIME_SECONDS = 86_400
/** 32 days: the longest access tokens and sessions of known providers last a month. */
const MAX_LIFETIME_SECONDS = 2_764_800

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
  'Ed25519',
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

const ClaimValue = z.union([z.string().check(z.maxLength(255)), z.number(), z.boolean()])

/** `z.record` skips `__proto__`, which would silently drop a required claim. So it is refused. */
const RequiredClaims = z.pipe(
  z.custom<object>((claims) => typeof claims === 'object' && claims !== null && !Object.hasOwn(claims, '__proto__')),
  z.record(ClaimName, ClaimValue),
)

const RequiredClaimPath = z.strictObject({
  /** Names from the outermost object inwards. Arrays are not entered. */
  path: z.array(Text).check(z.minLength(1), z.maxLength(MAX_PATH_NAMES)),
  /** Must equal the claim, or one of its items. */
  value: ClaimValue,
})

const distinct = (list: readonly string[]) => new Set(list).size === list.length

/** An address of a provider that may be asked: its key set, or its discovery document. */
export const JwksUrl = z
  .string()
  .check(
    z.maxLength(512),
    z.refine(
      isJwksUrl,
      'must be an https URL of a DNS name, port 443, without credentials, written as it is requested',
    ),
  )

const TenantIssuer = z
  .strictObject({
    /** Must equal the `iss` claim. */
    issuer: Text,
    /** One of these must equal the `aud` claim, or one of its items. */
    audience: z.exactOptional(
      z.union([
        Text,
        z
          .array(Text)
          .check(z.minLength(1), z.maxLength(MAX_AUDIENCES), z.refine(distinct, 'must not repeat an audience')),
      ]),
    ),
    /** For tokens without a usable `aud`: this claim must be this text. */
    client: z.exactOptional(
      z.strictObject({
        claim: ClaimName.check(z.refine((name) => name !== 'aud', 'must not be aud: use audience')),
        value: Text,
      }),
    ),
    /** Whether a token that names other audiences is accepted by its `client`. */
    ignoreAudience: z.exactOptional(z.boolean()),
    jwksUrl: z.exactOptional(JwksUrl),
    /** The `jwksUrl` came from the issuer's discovery document. */
    discovered: z.exactOptional(z.literal(true)),
    jwks: z.exactOptional(Jwks),
    algorithms: z.array(JwtAlgorithm).check(z.minLength(1), z.refine(distinct, 'must not repeat an algorithm')),
    /** Name of the claim that holds the subject. */
    subjectClaim: z._default(ClaimName, 'sub'),
    /** Claims that must equal this value, or be an array that contains it. */
    requiredClaims: z._default(RequiredClaims, {}),
    requiredClaimPaths: z._default(z.array(RequiredClaimPath).check(z.maxLength(MAX_CLAIM_PATHS)), []),
    /** The longest life of a token, from `iat` to `exp`. */
    maxLifetimeSeconds: z._default(
      z.int().check(z.minimum(1), z.maximum(MAX_LIFETIME_SECONDS)),
      DEFAULT_LIFETIME_SECONDS,
    ),
  })
  .check(
    z.refine(
      ({ jwksUrl, jwks }) => jwksUrl === undefined || jwks === undefined,
      'must have one of jwksUrl, jwks, or neither where the issuer has a discovery document',
    ),
    z.refine(
      ({ jwksUrl, discovered }) => !discovered || jwksUrl !== undefined,
      'must have a jwksUrl where discovered is true: leave both out to read the discovery document',
    ),
    z.refine(
      ({ audience, client }) => (audience === undefined) !== (client === undefined),
      'must have exactly one of audience, client',
    ),
    z.refine(
      ({ client, ignoreAudience }) => ignoreAudience === undefined || client !== undefined,
      'must have ignoreAudience only with client',
    ),
    z.refine(
      ({ issuer, client }) => client?.claim !== 'iss' || client.value === issuer,
      'must have the issuer as the value of a client whose claim is iss',
    ),
  )
export type TenantIssuer = z.infer<typeof TenantIssuer>

export const TenantIssuers = z.array(TenantIssuer).check(
  z.maxLength(MAX_ISSUERS),
  z.refine(
    (list) => distinct(list.flatMap(sharesOf).map(shareName)),
    'must not repeat an issuer and audience or client',
  ),
)

/** The tokens of an issuer whose claim has this value; `aud` for an audience. A share belongs to at most one tenant. */
export interface IssuerShare {
  readonly issuer: string
  readonly claim: string
  readonly value: string
}

/** What an entry lays claim to: each of its audiences, or its client. */
export function sharesOf({ issuer, audience, client }: TenantIssuer): IssuerShare[] {
  if (client) return [{ issuer, ...client }]
  return [audience ?? []].flat().map((value) => ({ issuer, claim: 'aud', value }))
}

export const shareName = ({ issuer, claim, value }: IssuerShare): string => JSON.stringify([issuer, claim, value])

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
