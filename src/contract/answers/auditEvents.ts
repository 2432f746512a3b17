/** Schemas of the audit trail. */
import * as z from 'zod/mini'
import type { AuditAction, AuditEventView } from '../resources/auditEvents.ts'
import { SubjectId } from '../resources/credentials.ts'
import { answerOf, pageOf, RequestId, Timestamp } from './shapes.ts'

/** Every action. Does not compile when one is missing. */
const ACTIONS = Object.keys({
  'tenant.create': true,
  'tenant.update': true,
  'tenant.delete': true,
  'tenant.deleted': true,
  'tenant.restore': true,
  'issuer.check': true,
  'account.sweep': true,
  'root_key.reseal': true,
  'token_check.replace': true,
  'api_token.create': true,
  'api_token.roll': true,
  'api_token.delete': true,
  'turn_key.create': true,
  'turn_key.rotate': true,
  'turn_key.import': true,
  'turn_key.reveal': true,
  'turn_key.rename': true,
  'turn_key.delete': true,
  'turn_key.deleted': true,
  'turn_key.missing': true,
  'turn_key.found': true,
  'turn_key.undo': true,
  'turn_key.give_up': true,
  'client_token.create': true,
  'credential.issue': true,
  'credential.reuse': true,
  'credential.revoke': true,
  'credential.revoked': true,
  'revocation.create': true,
  'ban.create': true,
  'ban.lift': true,
  'subject.erase': true,
  'audit_trail.prune': true,
} satisfies Record<AuditAction, true>)

const text = (maxLength: number) => z.string().check(z.meta({ maxLength }))

export const AuditEvent = answerOf<AuditEventView>()(
  z.strictObject({
    seq: z.int().check(z.minimum(1), z.describe('Increases by one with every event.')),
    at: Timestamp,
    actor: text(512).check(
      z.describe('Who asked: `admin:{name}`, `api-token:{id}`, the bearer of a client token or JWT, or `broker`.'),
    ),
    action: z.string().check(z.meta({ enum: ACTIONS })),
    target: z.nullable(text(1_024)).check(z.describe('The id of what was acted on.')),
    subjectId: z.nullable(SubjectId),
    outcome: z
      .string()
      .check(z.meta({ enum: ['begun', 'done', 'refused', 'failed', 'unknown'] }), z.describe('What came of it.')),
    code: z
      .nullable(text(64))
      .check(z.describe('The error code of a refusal or failure, or a word that explains the outcome.')),
    count: z
      .int()
      .check(z.minimum(1), z.describe('How many events this row stands for: equal refusals are one row a minute.')),
    requestId: z.nullable(RequestId).check(z.describe('`null`: no request caused it.')),
    origin: z
      .nullable(text(255))
      .check(z.describe('The web origin of the page that asked; the text `"null"` if it is opaque.')),
    digest: z
      .nullable(
        z.string().check(z.regex(/^[A-Za-z0-9-]{1,16}\.[A-Za-z0-9_-]{43}$/), z.meta({ minLength: 45, maxLength: 60 })),
      )
      .check(z.describe('HMAC of the issued username, with the id of the root key that made it.')),
  }),
)
export const AuditEventPage = pageOf(AuditEvent)
