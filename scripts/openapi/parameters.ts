// Parameters of the API: those in paths, queries and headers of requests. Each is one component of the document.
import * as z from 'zod'
import {
  Subject,
  SubjectId,
  TURN_REST_FORMATS,
  TurnService,
  Username,
} from '../../src/contract/resources/credentials.ts'
import { BanId, RevocationId } from '../../src/contract/resources/revocations.ts'
import type { Route } from '../../src/contract/routes.ts'
import { ApiTokenId, IdempotencyKey, TenantId, TurnKeyUid } from '../../src/contract/values.ts'
import { IDS } from './examples.ts'

export interface Parameter {
  /** If it differs from the name in the table. */
  readonly name?: string
  readonly description: string
  readonly schema: z.core.$ZodType
  readonly example: string | number
  readonly required?: true
}

export const PATH: Readonly<Record<string, Parameter>> = {
  account_id: {
    description: "The tenant's id, in the place of Cloudflare's account id.",
    schema: TenantId,
    example: IDS.tenant,
  },
  tenant: { description: "The tenant's id.", schema: TenantId, example: IDS.tenant },
  key_id: { description: 'The uid of a TURN key.', schema: TurnKeyUid, example: IDS.key },
  username: {
    description: 'The username of a credential, percent-encoded.',
    schema: Username,
    example: IDS.username,
  },
  subject_id: { description: 'The id of a subject.', schema: SubjectId, example: IDS.subject },
  revocation_id: { description: 'The id of a revocation.', schema: RevocationId, example: IDS.revocation },
  ban_id: { description: 'The id of a ban.', schema: BanId, example: IDS.ban },
  token_id: { description: 'The id of an API token.', schema: ApiTokenId, example: IDS.token },
}

const filter = (description: string, example: string): Parameter => ({
  description: `Only events with this ${description}. Compared exactly.`,
  schema: z.string().meta({ maxLength: 128 }),
  example,
})

export const QUERY = {
  limit: {
    description: 'How many items a page has at most. Absent: 50.',
    schema: z.int().min(1).max(100).meta({ default: 50 }),
    example: 50,
  },
  cursor: {
    description: 'The `nextCursor` of the page before, of the same list with the same filter. Absent: the first page.',
    schema: z.string().regex(/^[\x21-\x7e]{1,512}$/),
    example: '1.k1.oX4yQm2v',
  },
  subjectId: { description: 'Only credentials of this subject.', schema: SubjectId, example: IDS.subject },
  keyId: { description: 'Only credentials that this TURN key minted.', schema: TurnKeyUid, example: IDS.key },
  format: {
    description:
      'The dialect of the answer. `uberti`: draft-uberti-behave-turn-rest-00; `rtc`: `RTCConfiguration`; `ice-servers`: the bare list; `matrix`: of the Matrix client API; `xep-0215`: XML of XMPP; `link`: header lines of WHIP and WHEP; `selkies`: of Selkies; `uri`: TURN URIs with the login in them, for GStreamer.',
    schema: z.enum(TURN_REST_FORMATS).meta({ default: 'uberti' }),
    example: 'uberti',
  },
  service: {
    description: 'The service that is asked for, in any case. May be left out.',
    schema: TurnService,
    example: 'turn',
  },
  username: {
    description: 'For which user. Absent: the credential counts for no user.',
    schema: Subject,
    example: 'alice',
  },
  cascade: {
    description: '`true`: deletes the TURN keys too. Absent or `false`: a tenant with TURN keys is not deleted.',
    schema: z.enum(['true', 'false']),
    example: 'true',
  },
  actor: filter('actor', `api-token:${IDS.token}`),
  action: filter('action', 'turn_key.create'),
  target: filter('target', IDS.key),
  outcome: filter('outcome', 'done'),
  code: filter('code', 'subject_limit'),
  auditSubjectId: { name: 'subjectId', ...filter('subject', IDS.subject) },
} as const satisfies Record<string, Parameter>

export const REQUEST_HEADERS = {
  'Idempotency-Key': {
    description:
      'Makes the request safe to repeat within 24 hours: a repeat with the same key and the same bytes in the body gets the same answer and does nothing again.',
    schema: IdempotencyKey,
    example: '5d2f7c0e-8a0b-4f7e-9a53-2f1d9b4c6e10',
  },
  'If-Match': {
    description: 'The `ETag` of the version to change. Another version is refused. Absent or `*`: any version.',
    schema: z
      .string()
      .regex(/^("[0-9]{1,15}"|\*)$/)
      .meta({ minLength: 1, maxLength: 17 }),
    example: '"3"',
  },
  Origin: {
    description: 'The web origin of the page. Browsers set it by themselves; native apps have none.',
    schema: z.string().meta({ maxLength: 255 }),
    example: 'https://app.example.com',
  },
  'X-Stainless-Retry-Count': {
    description:
      'Cloudflare’s SDK counts its automatic retries here. The broker recognizes a retry of a creation and creates nothing again. Ignored beside an `Idempotency-Key`.',
    schema: z
      .string()
      .regex(/^(0|[1-9][0-9]?)$/)
      .meta({ minLength: 1, maxLength: 2 }),
    example: '0',
  },
} as const satisfies Record<string, Parameter>

/** Names in `QUERY` of a route's query parameters. Throws if one is not there. */
export function queryNames({ query = [] }: Route): string[] {
  const isAudit = query.includes('action')
  const names = query.map((name) => (isAudit && name === 'subjectId' ? 'auditSubjectId' : name))
  const missing = names.filter((name) => !(name in QUERY))
  if (missing.length > 0) throw new Error(`scripts/openapi/parameters.ts has no words for ${missing.join(', ')}`)
  return names
}

/** Names of the parameters in a path of the route table, in order. */
export const namesInPath = (path: string): string[] => [...path.matchAll(/:([a-z_]+)/g)].map(([, name = '']) => name)
