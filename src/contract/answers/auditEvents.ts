/** Schemas of the audit trail. */
import * as z from 'zod'
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
  'account.sweep': true,
  'root_key.reseal': true,
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
} satisfies Record<AuditAction, true>)

const text = (maxLength: number) => z.string().meta({ maxLength })

export const AuditEvent = answerOf<AuditEventView>()(
  z.strictObject({
    seq: z.int().min(1).describe('Increases by one with every event.'),
    at: Timestamp,
    actor: text(512).describe(
      'Who asked: `admin:{name}`, `api-token:{id}`, the bearer of a client token or JWT, or `broker`.',
    ),
    action: z.string().meta({ enum: ACTIONS }),
    target: text(1_024).nullable().describe('The id of what was acted on.'),
    subjectId: SubjectId.nullable(),
    outcome: z
      .string()
      .meta({ enum: ['begun', 'done', 'refused', 'failed', 'unknown'] })
      .describe('What came of it.'),
    code: text(64).nullable().describe('The error code of a refusal or failure, or a word that explains the outcome.'),
    count: z.int().min(1).describe('How many events this row stands for: equal refusals are one row a minute.'),
    requestId: RequestId.nullable().describe('`null`: no request caused it.'),
    origin: text(255).nullable().describe('The web origin of the page that asked.'),
    digest: z
      .string()
      .regex(/^[A-Za-z0-9-]{1,16}\.[A-Za-z0-9_-]{43}$/)
      .meta({ minLength: 45, maxLength: 60 })
      .nullable()
      .describe('HMAC of the issued username, with the id of the root key that made it.'),
  }),
)
export const AuditEventPage = pageOf(AuditEvent)
