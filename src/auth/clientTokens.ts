/**
 * Client tokens: short-lived JWTs (RFC 7519) that a tenant's back end gives to its pages. HS256 with a key derived per
 * tenant. jose signs and verifies the signature. This file checks the rest: the exact set of header fields and claims, type, issuer,
 * audience, times and the lifetime.
 */
import { CompactSign, compactVerify } from 'jose'
import * as z from 'zod/mini'
import { WebOrigin } from '../contract/policy/origins.ts'
import { MAX_CLIENT_TOKEN_SECONDS } from '../contract/resources/clientTokens.ts'
import { Subject } from '../contract/resources/credentials.ts'
import { ApiTokenId, TtlSeconds, TurnKeyUid } from '../contract/values.ts'
import { base64url, randomBytes } from '../crypto/encoding.ts'
import { macKey } from '../crypto/mac.ts'
import type { RootKeys } from '../crypto/rootKeys.ts'
import { decodeCompact, MAX_JWT_CHARACTERS } from './compactJws.ts'

const TYPE = 'client+jwt'
const ALGORITHM = 'HS256'
/** The clock of the isolate that signed may be ahead of this one by this much. */
const CLOCK_SKEW_SECONDS = 5
const JTI_BYTES = 12

/** Exactly the header fields that `signClientToken` writes. Others (`jku`, `x5u`, `jwk`, `crit`, `b64`) are refused. */
const Header = z.strictObject({
  alg: z.literal(ALGORITHM),
  typ: z.literal(TYPE),
  kid: z.string().check(z.minLength(1), z.maxLength(16)),
})

const Claims = z.strictObject({
  iss: z.string(),
  aud: z.string(),
  /** Id of the API token that made this client token. Deleting the API token ends the client token too. */
  ati: z.union([ApiTokenId, z.literal('operator')]),
  sub: Subject,
  iat: z.int().check(z.minimum(0)),
  exp: z.int().check(z.minimum(0), z.maximum(253_402_300_799)),
  jti: z.string().check(z.minLength(1), z.maxLength(64)),
  origin: z.optional(WebOrigin),
  /** Lifetime of the credentials in seconds: the default and the maximum. */
  cttl: z.optional(TtlSeconds),
  keyId: z.optional(TurnKeyUid),
})

export interface ClientToken {
  readonly tokenId: string
  readonly subject: string
  readonly origin: string | null
  readonly credentialTtl: number | null
  readonly keyId: string | null
}

export interface ClientTokenIssuer {
  readonly rootKeys: RootKeys
  readonly deployment: string
  readonly tenant: string
}

export async function signClientToken(
  issuer: ClientTokenIssuer,
  claims: ClientToken,
  life: { readonly now: number; readonly seconds: number },
): Promise<{ token: string; expiresAt: number }> {
  const { rootKeys, tenant } = issuer
  const key = await macKey(rootKeys, { rootKey: rootKeys.current, purpose: 'client-token', tenant })
  if (!key) throw new Error('the current root key is always in the ring')
  const iat = Math.floor(life.now / 1_000)
  const payload: z.infer<typeof Claims> = {
    ati: claims.tokenId,
    ...(claims.origin === null ? {} : { origin: claims.origin }),
    ...(claims.credentialTtl === null ? {} : { cttl: claims.credentialTtl }),
    ...(claims.keyId === null ? {} : { keyId: claims.keyId }),
    iss: issuerName(issuer),
    aud: audienceName(issuer),
    sub: claims.subject,
    iat,
    exp: iat + life.seconds,
    jti: base64url(randomBytes(JTI_BYTES)),
  }
  const token = await new CompactSign(new TextEncoder().encode(JSON.stringify(payload)))
    .setProtectedHeader({ alg: ALGORITHM, typ: TYPE, kid: rootKeys.current })
    .sign(key)
  return { token, expiresAt: (iat + life.seconds) * 1_000 }
}

/** Whether the header is that of a client token. Verifies nothing. */
export const isClientToken = (token: string): boolean =>
  token.length <= MAX_JWT_CHARACTERS && Header.safeParse(decodeCompact(token)?.header).success

/** The verified claims, or `undefined`: forged, expired, of another tenant or deployment, or of another form. */
export async function readClientToken(
  issuer: ClientTokenIssuer,
  token: string,
  now: number,
): Promise<ClientToken | undefined> {
  if (token.length > MAX_JWT_CHARACTERS) return
  const decoded = decodeCompact(token)
  const header = Header.safeParse(decoded?.header)
  if (!header.success) return
  const { tenant } = issuer
  const key = await macKey(issuer.rootKeys, { rootKey: header.data.kid, purpose: 'client-token', tenant })
  if (key === undefined) return
  try {
    await compactVerify(token, key, { algorithms: [ALGORITHM] })
    const claims = Claims.parse(decoded?.payload)
    const { iat, exp, iss, aud } = claims
    const seconds = now / 1_000
    if (iss !== issuerName(issuer) || aud !== audienceName(issuer) || exp <= seconds) return
    if (exp <= iat || exp - iat > MAX_CLIENT_TOKEN_SECONDS || iat > seconds + CLOCK_SKEW_SECONDS) return
    return {
      tokenId: claims.ati,
      subject: claims.sub,
      origin: claims.origin ?? null,
      credentialTtl: claims.cttl ?? null,
      keyId: claims.keyId ?? null,
    }
  } catch {
    return
  }
}

const issuerName = ({ deployment }: ClientTokenIssuer): string => `turn-broker:${deployment}`
const audienceName = (issuer: ClientTokenIssuer): string => `${issuerName(issuer)}/${issuer.tenant}`
