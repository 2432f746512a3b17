// What zod's JSON Schema leaves out: rules that the contract writes as code (`refine`, `transform`), the length that a pattern
// fixes, and the format of integers. Each rule here says in JSON Schema what the code says.
import * as z from 'zod'
import { JWT_ALGORITHMS, Jwk, TenantIssuers } from '../../src/contract/policy/issuers.ts'
import { OriginRule, WebOrigin } from '../../src/contract/policy/origins.ts'
import { Policy, PolicyPatch } from '../../src/contract/policy/policy.ts'
import { ApiTokenCreate } from '../../src/contract/resources/apiTokens.ts'
import { Subject } from '../../src/contract/resources/credentials.ts'
import { BanCreate, RevocationCreate } from '../../src/contract/resources/revocations.ts'
import { SCOPES } from '../../src/contract/scopes.ts'
import { MAX_NAME_CHARACTERS, Name, NonEmptyName } from '../../src/contract/values.ts'

/** Larger than any string in a request: a body has at most 16 KiB. */
const MAX_BODY_CHARACTERS = 16_384
const INT32_MAX = 2_147_483_647

export type JsonSchema = z.core.JSONSchema.BaseSchema
type Rule = Readonly<Record<string, unknown>>

const exactlyOneOf = (...names: string[]): Rule => ({ oneOf: names.map((name) => ({ required: [name] })) })
const unique: Rule = { uniqueItems: true }
/** Control characters. Written as ranges, because not every validator compiles patterns with the `u` flag. */
const CONTROL = '\\u0000-\\u001F\\u007F-\\u009F'
/** Neither those nor marks that change the visible order of text. */
const NAME_PATTERN = `^[^${CONTROL}\\u061C\\u200E\\u200F\\u2028-\\u202E\\u2066-\\u2069\\uFEFF]*$`
const ORIGIN_PATTERN = '^(null|[a-z][a-z0-9+.-]*://[^/*]+)$'
const RULE_PATTERN = '^(null|[a-z][a-z0-9+.-]*://[^/]+)$'
const originRules = PolicyPatch.shape.allowedOrigins.def.innerType.def.innerType

const Issuer = TenantIssuers.def.element
const CLAIMS: Rule = {
  type: 'object',
  maxProperties: 100,
  propertyNames: { type: 'string', pattern: '^[A-Za-z0-9_:./-]{1,128}$', minLength: 1, maxLength: 128 },
  additionalProperties: { anyOf: [{ type: 'string', maxLength: 255 }, { type: 'number' }, { type: 'boolean' }] },
}

/** A key may be sent with other fields, which are dropped. */
const KEY: Rule = (({ properties, required }) => ({ properties, required }))(z.toJSONSchema(Jwk.def.out))

const RULES = new Map<z.core.$ZodType, Rule>([
  [Name, { maxLength: MAX_NAME_CHARACTERS, pattern: NAME_PATTERN }],
  [NonEmptyName, { minLength: 1, maxLength: MAX_NAME_CHARACTERS, pattern: NAME_PATTERN }],
  [Subject, { maxLength: 128, pattern: `^[^${CONTROL}]*$` }],
  [WebOrigin, { pattern: ORIGIN_PATTERN }],
  [OriginRule, { pattern: RULE_PATTERN }],
  [originRules, unique],
  [Policy.shape.allowedOrigins, unique],
  [Policy.shape.allowedOrigins.def.element, { pattern: RULE_PATTERN, maxLength: 255 }],
  [Policy.shape.urls.shape.transports, unique],
  [Issuer.shape.algorithms, { ...unique, maxItems: JWT_ALGORITHMS.length }],
  [Issuer.shape.requiredClaims.def.innerType, CLAIMS],
  [Jwk, KEY],
  [Issuer.shape.audience.def.innerType.def.options[1], unique],
  [
    Issuer,
    {
      ...exactlyOneOf('audience', 'client'),
      not: { required: ['jwksUrl', 'jwks'] },
      dependentRequired: { ignoreAudience: ['client'], discovered: ['jwksUrl'] },
    },
  ],
  [ApiTokenCreate.shape.scopes, { ...unique, maxItems: SCOPES.length }],
  [
    RevocationCreate,
    { ...exactlyOneOf('subject', 'keyId', 'credentialId', 'all'), dependentRequired: { banUntil: ['subject'] } },
  ],
  [BanCreate, exactlyOneOf('subject', 'tokenId')],
])

/** zod's hook for one schema: changes `jsonSchema` in place. */
export function refine({ zodSchema, jsonSchema }: { zodSchema: z.core.$ZodTypes; jsonSchema: JsonSchema }): void {
  Object.assign(jsonSchema, ruleFor(zodSchema))
  if (jsonSchema.type === 'string') boundText(jsonSchema)
  if (jsonSchema.type === 'integer') boundInteger(jsonSchema)
}

/** A schema that only got a description is a copy: its rule is that of its parent. */
function ruleFor(schema: z.core.$ZodType | undefined): Rule | undefined {
  return schema && (RULES.get(schema) ?? ruleFor(schema._zod.parent))
}

function boundText(schema: JsonSchema): void {
  // The format says it all; zod's pattern for it is unreadable.
  if (schema.format === 'date-time' || schema.format === 'date' || schema.format === 'uuid') delete schema.pattern
  if (schema.enum || schema.const !== undefined) return
  const fixed = schema.pattern === undefined ? undefined : lengthsOf(schema.pattern)
  if (fixed) {
    schema.minLength ??= fixed.min
    schema.maxLength ??= fixed.max
  }
  schema.maxLength ??= MAX_BODY_CHARACTERS
}

function boundInteger(schema: JsonSchema): void {
  schema.minimum ??= 0
  schema.format = (schema.maximum ?? Number.MAX_SAFE_INTEGER) <= INT32_MAX ? 'int32' : 'int64'
}

/** The shortest and longest text of a pattern that is a row of characters and classes, some with a count; else `undefined`. */
export function lengthsOf(pattern: string): { min: number; max: number } | undefined {
  const body = /^\^(.*)\$$/s.exec(pattern)?.[1]
  if (body === undefined) return
  let rest = body
  let [min, max] = [0, 0]
  while (rest !== '') {
    const part = /^(?:\[(?:\\.|[^\]\\])+\]|[A-Za-z0-9_-])(?:\{(\d+)(?:,(\d+))?\})?(?![*+?{])/.exec(rest)
    if (!part) return
    const [text, least = '1', most = least] = part
    min += Number(least)
    max += Number(most)
    rest = rest.slice(text.length)
  }
  return { min, max }
}
