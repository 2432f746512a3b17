/**
 * What a tenant's JWT must say: its header, and its claims against one entry of the policy. Each rule is pure and names the
 * reason for which a token breaks it. Nothing here verifies a signature.
 */
import type { TenantIssuer } from '../contract/policy/issuers.ts'
import type { JwtReason, JwtRule } from '../contract/policy/jwtReasons.ts'
import { Subject } from '../contract/resources/credentials.ts'
import type { CompactJws } from './compactJws.ts'
import { algorithmIn, audiencesOf, hasValue, isTime, ownValue, sameAlgorithm, shareOf, valueAt } from './jwtValues.ts'

const CLOCK_SKEW_SECONDS = 30
const MAX_KID_CHARACTERS = 256

/** They bring a key, or change what is signed or how it is encoded. All other names are ignored (RFC 7515 §4). */
const FORBIDDEN = ['jku', 'jwk', 'x5u', 'x5c', 'crit', 'b64', 'zip', 'enc']

/** A token before one entry of the policy. */
export interface Judged {
  readonly jwt: CompactJws
  readonly entry: TenantIssuer
  /** Seconds since 1970, with a fraction. */
  readonly nowSeconds: number
}

export interface Rule<In> {
  readonly rule: JwtRule
  /** Why the token breaks the rule; `undefined`: the token meets it, or another rule already says what is wrong. */
  readonly broken: (it: In) => JwtReason | undefined
  /** What the token says, for the operator who checks a token. */
  readonly seen: (it: In) => unknown
}

/** How a token does by one rule. */
export interface RuleResult {
  readonly rule: JwtRule
  /** `null`: the rule is met. */
  readonly reason: JwtReason | null
  readonly seen: unknown
}

/** The first broken rule's reason; `undefined`: all are met. */
export function firstBroken<In>(rules: readonly Rule<In>[], it: In): JwtReason | undefined {
  for (const { broken } of rules) {
    const reason = broken(it)
    if (reason) return reason
  }
  return
}

/** Every rule with its result. */
export const resultsOf = <In>(rules: readonly Rule<In>[], it: In): RuleResult[] =>
  rules.map(({ rule, broken, seen }) => ({ rule, reason: broken(it) ?? null, seen: seen(it) }))

const when = (is: boolean, reason: JwtReason): JwtReason | undefined => (is ? reason : undefined)
const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')
const forbiddenIn = (header: object): string[] => FORBIDDEN.filter((name) => Object.hasOwn(header, name))

/** Rules of the header alone. */
export const HEADER_RULES: readonly Rule<object>[] = [
  {
    rule: 'header',
    broken: (header) => when(forbiddenIn(header).length > 0, 'header_forbidden'),
    seen: forbiddenIn,
  },
  {
    // RFC 8725 §3.11: a JWT of another kind (a log-out token, a DPoP proof) is not an access token.
    rule: 'typ',
    broken: (header) => {
      const typ = ownValue(header, 'typ')
      return when(typ !== undefined && !/^((application\/)?(at\+)?jwt|bearer)$/i.test(textOf(typ)), 'typ_unknown')
    },
    seen: (header) => ownValue(header, 'typ'),
  },
  {
    // RFC 7519 §7.2, step 8: the payload would have to be another JWT, and claims are none.
    rule: 'cty',
    broken: (header) => when(/^(application\/)?jwt$/i.test(textOf(ownValue(header, 'cty'))), 'nested_jwt'),
    seen: (header) => ownValue(header, 'cty'),
  },
  {
    rule: 'kid',
    broken: (header) => {
      const kid = ownValue(header, 'kid')
      const isGood = typeof kid === 'string' && kid.length > 0 && kid.length <= MAX_KID_CHARACTERS
      return when(kid !== undefined && !isGood, 'kid_malformed')
    },
    seen: (header) => ownValue(header, 'kid'),
  },
  {
    rule: 'alg',
    broken: (header) => when(algorithmIn(header) === undefined, 'alg_unsupported'),
    seen: (header) => ownValue(header, 'alg'),
  },
]

/** Rules that decide by which entry a token is checked. */
const SELECTION_RULES: readonly Rule<Pick<Judged, 'jwt' | 'entry'>>[] = [
  {
    rule: 'issuer',
    broken: ({ jwt, entry: { issuer } }) => {
      const iss = ownValue(jwt.payload, 'iss')
      if (iss === issuer) return
      return `${iss}/` === issuer || iss === `${issuer}/` ? 'issuer_slash' : 'issuer_unknown'
    },
    seen: ({ jwt }) => ownValue(jwt.payload, 'iss'),
  },
  {
    rule: 'recipient',
    broken: ({ jwt: { payload }, entry }) => {
      const audiences = audiencesOf(payload)
      if (!audiences) return 'audience_malformed'
      if (shareOf(payload, entry)) return
      if (audiences.length > 0 && !entry.ignoreAudience) return 'audience_foreign'
      return entry.client ? 'client_foreign' : 'audience_missing'
    },
    seen: ({ jwt: { payload }, entry: { client } }) => ({
      aud: ownValue(payload, 'aud'),
      ...(client ? { [client.claim]: ownValue(payload, client.claim) } : {}),
    }),
  },
  {
    rule: 'algorithm',
    broken: ({ jwt: { header }, entry: { algorithms } }) => {
      const alg = sameAlgorithm(ownValue(header, 'alg'))
      return when(!algorithms.some((allowed) => sameAlgorithm(allowed) === alg), 'alg_not_allowed')
    },
    seen: ({ jwt }) => ownValue(jwt.header, 'alg'),
  },
]

const timeRule = (
  name: 'exp' | 'nbf' | 'iat',
  broken: (time: number, it: Judged) => JwtReason | undefined,
): Rule<Judged> => ({
  rule: name,
  broken: (it) => {
    const time = ownValue(it.jwt.payload, name)
    if (time === undefined) return when(name === 'exp', 'exp_missing')
    return isTime(time) ? broken(time, it) : `${name}_malformed`
  },
  seen: ({ jwt }) => ownValue(jwt.payload, name),
})

/** The reason of the first required claim that is not there with its value. */
function unmet(payload: object, required: TenantIssuer['requiredClaimPaths']): JwtReason | undefined {
  for (const { path, value } of required) {
    const claim = valueAt(payload, path)
    if (claim !== undefined && hasValue(claim, value)) continue
    if (claim !== undefined) return 'claim_differs'
    // A dot is part of the name. A claim that stands where a path of these parts leads was meant as a path.
    const dotted = path.length === 1 && path.flatMap((name) => name.split('.'))
    return dotted && valueAt(payload, dotted) !== undefined ? 'claim_nested' : 'claim_missing'
  }
  return
}

/** Rules of the claims, by the entry that was chosen. */
export const CLAIM_RULES: readonly Rule<Judged>[] = [
  timeRule('exp', (exp, { nowSeconds }) => when(exp <= nowSeconds - CLOCK_SKEW_SECONDS, 'expired')),
  timeRule('nbf', (nbf, { nowSeconds }) => when(nbf > nowSeconds + CLOCK_SKEW_SECONDS, 'not_yet_valid')),
  timeRule('iat', (iat, { nowSeconds }) => when(iat > nowSeconds + CLOCK_SKEW_SECONDS, 'issued_in_future')),
  {
    rule: 'lifetime',
    broken: ({ jwt: { payload }, entry, nowSeconds }) => {
      const exp = ownValue(payload, 'exp')
      // A token without `iat` counts as issued now.
      const iat = ownValue(payload, 'iat') ?? nowSeconds
      return when(
        isTime(exp) && isTime(iat) && exp - Math.min(iat, nowSeconds) > entry.maxLifetimeSeconds,
        'lifetime_too_long',
      )
    },
    seen: ({ jwt: { payload } }) => ({ iat: ownValue(payload, 'iat'), exp: ownValue(payload, 'exp') }),
  },
  {
    rule: 'requiredClaims',
    broken: ({ jwt: { payload }, entry: { requiredClaims } }) =>
      unmet(
        payload,
        Object.entries(requiredClaims).map(([name, value]) => ({ path: [name], value })),
      ),
    seen: ({ jwt: { payload }, entry: { requiredClaims } }) =>
      Object.fromEntries(Object.keys(requiredClaims).map((name) => [name, ownValue(payload, name)])),
  },
  {
    rule: 'requiredClaimPaths',
    broken: ({ jwt: { payload }, entry: { requiredClaimPaths } }) => unmet(payload, requiredClaimPaths),
    seen: ({ jwt: { payload }, entry: { requiredClaimPaths } }) =>
      requiredClaimPaths.map(({ path }) => valueAt(payload, path)),
  },
  {
    rule: 'subject',
    broken: ({ jwt: { payload }, entry: { subjectClaim } }) => {
      const subject = ownValue(payload, subjectClaim)
      if (subject === undefined) return 'subject_missing'
      return when(!Subject.safeParse(subject).success, 'subject_malformed')
    },
    seen: ({ jwt: { payload }, entry: { subjectClaim } }) => ownValue(payload, subjectClaim),
  },
]

/** All rules of a token against one entry: those of its selection, then `CLAIM_RULES`. */
export const ENTRY_RULES: readonly Rule<Judged>[] = [...SELECTION_RULES, ...CLAIM_RULES]

/** The entry by which a token is checked, or the one that comes nearest. */
export interface Selection {
  /** `undefined`: the policy has no entry at all. */
  readonly entry: TenantIssuer | undefined
  /** Why no entry is for this token; `undefined`: `entry` is. */
  readonly reason: JwtReason | undefined
}

/**
 * The first entry for the token's issuer, audience or client, and algorithm: entries with `audience` first, then those with
 * `client`, each in the order of the policy. No other is tried after it.
 */
export function selectEntry(issuers: readonly TenantIssuer[], jwt: CompactJws): Selection {
  let nearest: Selection = { entry: undefined, reason: 'issuer_unknown' }
  let most = -1
  for (const entry of [...issuers.filter(({ client }) => !client), ...issuers.filter(({ client }) => client)]) {
    const met = SELECTION_RULES.findIndex(({ broken }) => broken({ jwt, entry }))
    if (met < 0) return { entry, reason: undefined }
    const reason = SELECTION_RULES[met]?.broken({ jwt, entry })
    if (met > most || (met === most && nearest.reason !== 'issuer_slash')) nearest = { entry, reason }
    most = Math.max(most, met)
  }
  return nearest
}
