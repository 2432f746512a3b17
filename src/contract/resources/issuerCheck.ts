/** Schema of checking a token against a tenant's identity providers, and what an operator is answered. */
import * as z from 'zod/mini'
import type { JwtReason, JwtRule } from '../policy/jwtReasons.ts'

/** Longer than any token that is accepted: the answer says so then. */
export const IssuerCheck = z.strictObject({ token: z.string().check(z.minLength(1), z.maxLength(32_000)) })

export type CheckedRule = {
  rule: JwtRule
  passes: boolean
  /** `null`: it passes. The code that the log and the audit trail have. */
  reason: JwtReason | null
  /** JSON of what the token says, at most 200 characters and `…`. Never its signature. `null`: nothing. */
  seen: string | null
}

export type CheckedEntry = {
  /** Index in `policy.issuers`. `null`: the policy has no entry, or the token is no JWT. */
  entry: number | null
  rules: CheckedRule[]
  /** Why the key set could not be had; `null`: it could, or was not needed. */
  keySetProblem: string | null
}

export type IssuerCheckAnswer = {
  accepted: boolean
  /** The name of the end user. `null`: not accepted. */
  subject: string | null
  /** By the entry that counts for this token, or the nearest. */
  checked: CheckedEntry
  /** By the other entries with the token's issuer. */
  others: CheckedEntry[]
}
