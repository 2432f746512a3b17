/** Schema of the answer to the check of a token against a tenant's identity providers. */
import * as z from 'zod/mini'
import { JWT_REASONS, type JwtReason, type JwtRule } from '../policy/jwtReasons.ts'
import { Subject } from '../resources/credentials.ts'
import type { CheckedEntry as CheckedEntryType, IssuerCheckAnswer } from '../resources/issuerCheck.ts'
import { answerOf } from './shapes.ts'

/** `Object.keys` and `flat` lose the literal types. */
const RULE_NAMES = Object.keys(JWT_REASONS) as [JwtRule] // not empty
const REASONS = [...new Set(Object.values(JWT_REASONS).flat())] as [JwtReason] // not empty

const CheckedEntry = answerOf<CheckedEntryType>()(
  z.strictObject({
    entry: z
      .nullable(z.int().check(z.minimum(0), z.maximum(9)))
      .check(z.describe('The index in `policy.issuers`. `null`: the policy has no entry, or the token is no JWT.')),
    rules: z
      .array(
        z.strictObject({
          rule: z.enum(RULE_NAMES).check(z.describe('What is checked; docs/browser.md lists the rules.')),
          passes: z.boolean().check(z.describe('Whether the token meets the rule.')),
          reason: z
            .nullable(z.enum(REASONS))
            .check(z.describe('The code of the broken rule, as the log and the audit trail have it.')),
          seen: z
            .nullable(z.string().check(z.meta({ maxLength: 201 })))
            .check(z.describe('JSON of what the token says, at most 200 characters. Never its signature.')),
        }),
      )
      .check(z.minLength(1), z.maxLength(RULE_NAMES.length), z.describe('In the order in which they are checked.')),
    keySetProblem: z
      .nullable(z.string().check(z.meta({ maxLength: 256 })))
      .check(z.describe('Why the key set could not be had. `null`: it could, or was not needed.')),
  }),
)

export const IssuerCheckResult = answerOf<IssuerCheckAnswer>()(
  z.strictObject({
    accepted: z.boolean().check(z.describe('Whether the browser door would take the token as the one of a user.')),
    subject: z.nullable(Subject).check(z.describe('The name of the end user. `null`: not accepted.')),
    checked: CheckedEntry.check(z.describe('By the entry that counts for this token, or the nearest.')),
    others: z
      .array(CheckedEntry)
      .check(z.maxLength(10), z.describe("By the other entries with the token's issuer. They do not count.")),
  }),
)
