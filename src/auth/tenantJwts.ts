/**
 * JWTs of a tenant's own identity provider. The tenant comes from the route and the issuer from the tenant's policy,
 * never from the token. The rules are in jwtRules.ts, the choice of the key in jwtKeys.ts; jose verifies the signature.
 * The Tenant object checks again that its policy still has the issuer with this audience or client.
 */
import { compactVerify } from 'jose'
import type { Jwk, TenantIssuer } from '../contract/policy/issuers.ts'
import type { JwtReason } from '../contract/policy/jwtReasons.ts'
import { type CompactJws, decodeCompact, MAX_JWT_CHARACTERS } from './compactJws.ts'
import { type KeysAt, keyFor } from './jwtKeys.ts'
import {
  CLAIM_RULES,
  ENTRY_RULES,
  firstBroken,
  HEADER_RULES,
  type RuleResult,
  resultsOf,
  selectEntry,
} from './jwtRules.ts'
import { algorithmIn, ownValue } from './jwtValues.ts'

/** A token that has the form of a JWT and a header that meets its rules. Nothing is verified. */
export interface ParsedJwt extends CompactJws {
  readonly token: string
}

export interface TenantJwt {
  /** The entry of the policy by which the token was verified. */
  readonly entry: TenantIssuer
  readonly subject: string
}

/** The issuers that a tenant trusts, and the look-up of the keys behind a `jwksUrl`. */
export interface TrustedIssuers {
  readonly issuers: readonly TenantIssuer[]
  readonly keysAt: KeysAt
}

/** The parsed token, or why it is none: then no look-up is made. */
export function parseTenantJwt(token: string): ParsedJwt | JwtReason {
  const jws = formOf(token)
  return typeof jws === 'string' ? jws : (firstBroken(HEADER_RULES, jws.header) ?? { token, ...jws })
}

function formOf(token: string): CompactJws | JwtReason {
  if (token.length > MAX_JWT_CHARACTERS) return 'too_long'
  return decodeCompact(token) ?? 'not_a_jws'
}

/** The verified issuer and subject, or the reason of the first broken rule. Claims are checked before a key is asked for. */
export async function readTenantJwt(
  trust: TrustedIssuers,
  jwt: ParsedJwt,
  now: number,
): Promise<TenantJwt | JwtReason> {
  const { entry, reason } = selectEntry(trust.issuers, jwt)
  if (!entry || reason) return reason ?? 'issuer_unknown'
  const judged = { jwt, entry, nowSeconds: now / 1_000 }
  const broken = firstBroken(CLAIM_RULES, judged)
  if (broken) return broken
  const key = await keyFor(entry, jwt.header, trust.keysAt)
  if (typeof key === 'string') return key
  const wrong = await signatureProblem(jwt, key)
  if (wrong) return wrong
  return acceptedBy(entry, jwt) ?? 'subject_malformed'
}

/** What an operator learns of a token. Never the signature. */
export interface JwtCheck {
  /** Index in `policy.issuers` of the entry by which the token was checked: the one for it, else the nearest. */
  readonly entry: number | null
  /** Every rule that could be checked, in the order of `JWT_REASONS`. */
  readonly results: readonly RuleResult[]
  /** `null`: a rule is broken. */
  readonly accepted: TenantJwt | null
}

/** Checks every rule: the same ones by which `readTenantJwt` accepts or refuses, at the same time. */
export async function checkTenantJwt(trust: TrustedIssuers, token: string, now: number): Promise<JwtCheck> {
  const jws = formOf(token)
  if (typeof jws === 'string') {
    return { entry: null, results: [{ rule: 'form', reason: jws, seen: token.length }], accepted: null }
  }
  const jwt = { token, ...jws }
  const results: RuleResult[] = [
    { rule: 'form', reason: null, seen: token.length },
    ...resultsOf(HEADER_RULES, jws.header),
  ]
  const { entry, reason } = selectEntry(trust.issuers, jwt)
  if (!entry) {
    const seen = ownValue(jws.payload, 'iss')
    results.push({ rule: 'issuer', reason: reason ?? 'issuer_unknown', seen })
    return { entry: null, results, accepted: null }
  }
  results.push(...resultsOf(ENTRY_RULES, { jwt, entry, nowSeconds: now / 1_000 }))
  const key = await keyFor(entry, jwt.header, trust.keysAt)
  const isKey = typeof key === 'object'
  const wrong = isKey ? await signatureProblem(jwt, key) : undefined
  const isUsable = isKey && wrong !== 'key_unusable'
  const seen = { kid: ownValue(jws.header, 'kid'), ...(isKey ? { kty: key.kty } : {}) }
  results.push({ rule: 'key', reason: isUsable ? null : isKey ? 'key_unusable' : key, seen })
  if (isUsable) results.push({ rule: 'signature', reason: wrong ?? null, seen: undefined })
  const isAccepted = isUsable && results.every((result) => result.reason === null)
  return {
    entry: trust.issuers.indexOf(entry),
    results,
    accepted: isAccepted ? (acceptedBy(entry, jwt) ?? null) : null,
  }
}

/** jose's code. */
const FORGED = 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED'

/** `key_unusable`: the key is no key of its kind, such as a point that is not on the curve. */
async function signatureProblem({ token, header }: ParsedJwt, key: Jwk): Promise<JwtReason | undefined> {
  try {
    await compactVerify(token, key, { algorithms: [algorithmIn(header) ?? ''] })
    return
  } catch (error) {
    const isForged = error instanceof Error && 'code' in error && error.code === FORGED
    return isForged ? 'signature_invalid' : 'key_unusable'
  }
}

function acceptedBy(entry: TenantIssuer, { payload }: ParsedJwt): TenantJwt | undefined {
  const subject = ownValue(payload, entry.subjectClaim)
  return typeof subject === 'string' ? { entry, subject } : undefined
}
