/**
 * Who is an operator: the holder of `ADMIN_TOKEN`, or the identity that Cloudflare Access proves by the assertion (a JWT) that it adds to
 * a request. An assertion is verified as a tenant's JWT is, by an issuer entry made from the configuration.
 */
import * as z from 'zod/mini'
import type { JwtReason } from '../contract/policy/jwtReasons.ts'
import { CommonName, Email, ROLES, type Role } from '../contract/roles.ts'
import { sameDigest, sha256 } from '../crypto/digest.ts'
import type { AccessConfig, Config } from '../env.ts'
import type { Caller } from './caller.ts'
import type { KeysAt } from './jwtKeys.ts'
import { hasValue, valueAt } from './jwtValues.ts'
import { parseTenantJwt, readTenantJwt } from './tenantJwts.ts'

export type Operator = Caller & { kind: 'operator' }

/** The operator, or `undefined`: wrong token, wrong host, or no admin token is configured. */
export async function readAdminToken(
  config: Pick<Config, 'adminToken' | 'adminHost'>,
  token: string,
  host: string,
): Promise<Operator | undefined> {
  if (config.adminToken === undefined) return
  if (!isAdminHost(config, host)) return
  const [expectedDigest, givenDigest] = await Promise.all([sha256(config.adminToken), sha256(token)])
  return sameDigest(expectedDigest, givenDigest) ? { kind: 'operator', name: 'token', role: 'owner' } : undefined
}

/** Whether the admin door may open on this host. */
export const isAdminHost = ({ adminHost }: Pick<Config, 'adminHost'>, host: string): boolean =>
  adminHost === undefined || adminHost === host

/** A person by e-mail address, or a service token by its client id. */
const Identity = z
  .object({ email: z.optional(Email), common_name: z.optional(CommonName) })
  .check(z.refine(({ email, common_name }) => (email === undefined) !== (common_name === undefined)))

export interface AccessIdentity {
  readonly operator: Operator
  /** A service token authenticates with secrets in headers, which no browser sends by itself. */
  readonly isService: boolean
}

export interface AccessTrust {
  readonly access: AccessConfig
  /** The look-up of the team's keys. */
  readonly keysAt: KeysAt
  /** Milliseconds since 1970. */
  readonly now: number
}

/** The identity, which may have no role; or the reason of the first broken rule. */
export async function readAssertion(
  { access, keysAt, now }: AccessTrust,
  assertion: string,
): Promise<AccessIdentity | JwtReason> {
  const jwt = parseTenantJwt(assertion)
  if (typeof jwt === 'string') return jwt
  const issuer = `https://${access.teamDomain}`
  const entry = {
    issuer,
    audience: [...access.audiences],
    jwksUrl: `${issuer}/cdn-cgi/access/certs`,
    algorithms: ['RS256' as const],
    // Stands in for a subject: who it is depends on whether a person or a service token comes.
    subjectClaim: 'type',
    requiredClaims: {},
    requiredClaimPaths: [],
    // Access itself decides how long a session lasts: a month and more.
    maxLifetimeSeconds: Number.POSITIVE_INFINITY,
  }
  const read = await readTenantJwt({ issuers: [entry], keysAt }, jwt, now)
  if (typeof read === 'string') return read
  // `org` is the session of the whole team, which opens no application.
  if (read.subject !== 'app') return 'claim_differs'
  const identity = Identity.safeParse(jwt.payload)
  if (!identity.success) return 'subject_malformed'
  const { email, common_name } = identity.data
  const role = roleOf(access, jwt.payload)
  return {
    operator: { kind: 'operator', name: email ?? `service:${common_name}`, role },
    isService: email === undefined,
  }
}

/** The highest role that an entry of `ACCESS_ROLES` gives. */
function roleOf({ roles }: AccessConfig, payload: object): Role | 'none' {
  const isNamed = (entry: AccessConfig['roles'][number]) => {
    if ('email' in entry) return valueAt(payload, ['email']) === entry.email
    if ('common_name' in entry) return valueAt(payload, ['common_name']) === entry.common_name
    return hasValue(valueAt(payload, ['custom', entry.custom.claim]), entry.custom.value)
  }
  return ROLES.findLast((role) => roles.some((entry) => entry.role === role && isNamed(entry))) ?? 'none'
}
