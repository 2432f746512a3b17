// The schemas of the document: bodies of requests and answers, each a component under its name here. JSON Schema comes from
// zod; refinements.ts adds what zod cannot say, descriptions.ts the words for requests.
import * as z from 'zod'
import { Account, Health, Readiness, Reseal, Sweep, TokenCheck } from '../../src/contract/answers/account.ts'
import { ApiToken, ApiTokenPage, ApiTokenSecret } from '../../src/contract/answers/apiTokens.ts'
import { AuditEvent, AuditEventPage } from '../../src/contract/answers/auditEvents.ts'
import {
  ClientToken,
  Credential,
  CredentialPage,
  GeneratedCredential,
  GeneratedIceServers,
  IceServer,
  IceServers,
  TurnRestJson,
} from '../../src/contract/answers/credentials.ts'
import { CloudflareFailure, Problem } from '../../src/contract/answers/errors.ts'
import { IssuerCheckResult } from '../../src/contract/answers/issuerCheck.ts'
import { Ban, BanPage, Revocation, SubjectFound } from '../../src/contract/answers/revocations.ts'
import {
  Tenant,
  TenantDeletion,
  TenantPage,
  TenantRestored,
  TenantSummary,
} from '../../src/contract/answers/tenants.ts'
import {
  DeletedKey,
  DeletedKeyEnvelope,
  Rotation,
  TurnKey,
  TurnKeyEnvelope,
  TurnKeyListEnvelope,
  TurnKeyWithSecret,
  TurnKeyWithSecretEnvelope,
} from '../../src/contract/answers/turnKeys.ts'
import { Policy, PolicyPatch } from '../../src/contract/policy/policy.ts'
import { ApiTokenCreate, ApiTokenRoll } from '../../src/contract/resources/apiTokens.ts'
import { ClientTokenCreate } from '../../src/contract/resources/clientTokens.ts'
import { GenerateRequest, IceServersRequest, TurnRestRequest } from '../../src/contract/resources/credentials.ts'
import { IssuerCheck } from '../../src/contract/resources/issuerCheck.ts'
import { BanCreate, RevocationCreate, SubjectSearch } from '../../src/contract/resources/revocations.ts'
import { TenantCreate, TenantPatch, TenantRestore } from '../../src/contract/resources/tenants.ts'
import { TurnKeyImport, TurnKeyRotate, TurnKeyWrite } from '../../src/contract/resources/turnKeys.ts'
import { TtlSeconds } from '../../src/contract/values.ts'
import { describeFields } from './descriptions.ts'
import { type JsonSchema, refine } from './refinements.ts'

/** The browser door's form. The door reads it by hand (http/routes/browser/iceServers.ts). */
const IceServersForm = z.strictObject({
  access_token: z
    .string()
    .regex(/^[A-Za-z0-9._~+/-]+=*$/)
    .meta({ maxLength: 16_384 })
    .exactOptional(),
  ttl: z.exactOptional(TtlSeconds),
})

/** What a media server sends as a form. `key` and `api` are ignored (http/routes/turnRest/turnRest.ts). */
const ignored = z.string().meta({ maxLength: 16_384 }).exactOptional()
const TurnRestForm = z.strictObject({ ...TurnRestRequest.shape, key: ignored, api: ignored })

export const REQUESTS = {
  ApiTokenCreate,
  ApiTokenRoll,
  BanCreate,
  ClientTokenCreate,
  GenerateRequest,
  IceServersForm,
  IceServersRequest,
  IssuerCheck,
  PolicyPatch,
  RevocationCreate,
  SubjectSearch,
  TenantCreate,
  TenantPatch,
  TenantRestore,
  TurnKeyImport,
  TurnKeyRotate,
  TurnKeyWrite,
  TurnRestForm,
  TurnRestRequest,
} as const satisfies Record<string, z.core.$ZodType>

export const ANSWERS = {
  Account,
  ApiToken,
  ApiTokenPage,
  ApiTokenSecret,
  AuditEvent,
  AuditEventPage,
  Ban,
  BanPage,
  ClientToken,
  CloudflareFailure,
  Credential,
  CredentialPage,
  DeletedKey,
  DeletedKeyEnvelope,
  GeneratedCredential,
  GeneratedIceServers,
  Health,
  IceServer,
  IceServers,
  IssuerCheckResult,
  Policy,
  Problem,
  Readiness,
  Reseal,
  Revocation,
  Rotation,
  SubjectFound,
  Sweep,
  Tenant,
  TenantDeletion,
  TenantPage,
  TenantRestored,
  TenantSummary,
  TokenCheck,
  TurnKey,
  TurnKeyEnvelope,
  TurnKeyListEnvelope,
  TurnKeyWithSecret,
  TurnKeyWithSecretEnvelope,
  TurnRestJson,
} as const satisfies Record<string, z.core.$ZodType>

/** All components, by name, in the order of the alphabet. */
export function componentSchemas(): Record<string, JsonSchema> {
  const all = { ...describeFields(converted(REQUESTS, 'input')), ...describeFields(converted(ANSWERS, 'output')) }
  return Object.fromEntries(Object.entries(all).sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** The JSON Schema of a parameter or header, without a component of its own. */
export function inlineSchema(schema: z.core.$ZodType): JsonSchema {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any', override: refine })
  return rest
}

function converted(schemas: Record<string, z.core.$ZodType>, io: 'input' | 'output'): Record<string, JsonSchema> {
  const registry = z.registry<{ id: string }>()
  for (const [id, schema] of Object.entries(schemas)) registry.add(schema, { id })
  const uri = (id: string) => `#/components/schemas/${id}`
  const { schemas: found } = z.toJSONSchema(registry, { io, uri, unrepresentable: 'any', override: refine })
  return Object.fromEntries(Object.entries(found).map(([id, { $schema: _, $id: __, id: ___, ...rest }]) => [id, rest]))
}
