/**
 * The rules that a tenant's JWT must meet, in the order in which they are checked, and the reason codes of each.
 * Codes are stable: the log, the audit trail and the check route carry them. The caller of the browser door never sees one.
 */
export const JWT_REASONS = {
  form: ['too_long', 'not_a_jws'],
  header: ['header_forbidden'],
  typ: ['typ_unknown'],
  cty: ['nested_jwt'],
  kid: ['kid_malformed'],
  alg: ['alg_unsupported'],
  issuer: ['issuer_unknown', 'issuer_slash'],
  recipient: ['audience_malformed', 'audience_missing', 'audience_foreign', 'client_foreign'],
  algorithm: ['alg_not_allowed'],
  exp: ['exp_missing', 'exp_malformed', 'expired'],
  nbf: ['nbf_malformed', 'not_yet_valid'],
  iat: ['iat_malformed', 'issued_in_future'],
  lifetime: ['lifetime_too_long'],
  requiredClaims: ['claim_missing', 'claim_nested', 'claim_differs'],
  requiredClaimPaths: ['claim_missing', 'claim_nested', 'claim_differs'],
  subject: ['subject_missing', 'subject_malformed'],
  key: ['key_set_unavailable', 'key_unknown', 'key_ambiguous', 'key_unusable'],
  signature: ['signature_invalid'],
} as const

export type JwtRule = keyof typeof JWT_REASONS
export type JwtReason = (typeof JWT_REASONS)[JwtRule][number]
