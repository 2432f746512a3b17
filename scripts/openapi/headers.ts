// Headers of answers. Each is one component of the document.
import * as z from 'zod'
import { RequestId } from '../../src/contract/answers/shapes.ts'
import { MAX_RETRY_AFTER_SECONDS } from '../../src/errors.ts'

export interface AnswerHeader {
  readonly description: string
  readonly schema: z.core.$ZodType
  readonly example: string | number
  /** Every answer that lists the header carries it. */
  readonly required?: true
}

const text = (maxLength: number) => z.string().meta({ maxLength })

export const ANSWER_HEADERS = {
  'X-Request-Id': {
    description: 'The id of the request. Finds it in the logs.',
    schema: RequestId,
    example: '3f0c9f52-3c6f-4b0e-9a53-8f6f1d2a7b10',
    required: true,
  },
  'Cache-Control': {
    description: 'No cache may keep the answer.',
    schema: z.literal('no-store'),
    example: 'no-store',
    required: true,
  },
  'Strict-Transport-Security': {
    description: 'Browsers use https only.',
    schema: z.literal('max-age=31536000'),
    example: 'max-age=31536000',
    required: true,
  },
  'X-Content-Type-Options': {
    description: 'Browsers do not guess the type of the answer.',
    schema: z.literal('nosniff'),
    example: 'nosniff',
    required: true,
  },
  'WWW-Authenticate': {
    description: 'A token is needed: as a bearer, on `turn-rest` also as the password of `Basic`.',
    schema: z.enum(['Bearer', 'Bearer, Basic realm="API token"']),
    example: 'Bearer',
    required: true,
  },
  'Retry-After': {
    description: 'Seconds to wait before the request is repeated.',
    schema: z.int().min(1).max(MAX_RETRY_AFTER_SECONDS),
    example: 2,
  },
  'x-should-retry': {
    description: 'Present if a repeat could take effect twice, or would fail again. Cloudflare’s SDK obeys it.',
    schema: z.literal('false'),
    example: 'false',
  },
  ETag: {
    description: 'The version. Send it as `If-Match`.',
    schema: text(128),
    example: '"3"',
    required: true,
  },
  'Cache-Status': {
    description: 'Where the answer comes from (RFC 9211): `edge` is the cache, `tenant` the tenant’s record.',
    schema: text(256),
    example: 'edge; hit; ttl=41',
  },
  'Server-Timing': {
    description: 'How many milliseconds the tenant’s object took.',
    schema: text(64),
    example: 'tenant;dur=84',
    required: true,
  },
  Vary: {
    description: 'The answer depends on `Origin`; that to a preflight also on the headers it asks for.',
    schema: z.enum(['Origin', 'Origin, Access-Control-Request-Headers']),
    example: 'Origin',
  },
  'Access-Control-Allow-Origin': {
    description: 'The origin of the page, if it may read the answer.',
    schema: text(255),
    example: 'https://app.example.com',
  },
  'Access-Control-Expose-Headers': {
    description: 'Which headers the page may read.',
    schema: z.literal('Retry-After, X-Request-Id, Server-Timing'),
    example: 'Retry-After, X-Request-Id, Server-Timing',
  },
  'Access-Control-Allow-Methods': {
    description: 'The method that the page may use.',
    schema: z.literal('POST'),
    example: 'POST',
    required: true,
  },
  'Access-Control-Allow-Headers': {
    description: 'The headers that the page may send: two, and those that the preflight asked for.',
    schema: text(1_200),
    example: 'Authorization, Content-Type',
    required: true,
  },
  'Access-Control-Max-Age': {
    description: 'For how many seconds the browser may remember this.',
    schema: z.int().min(1).max(86_400),
    example: 7_200,
    required: true,
  },
} as const satisfies Record<string, AnswerHeader>

export type AnswerHeaderName = keyof typeof ANSWER_HEADERS

/** Headers of every answer. */
export const EVERYWHERE: readonly AnswerHeaderName[] = [
  'X-Request-Id',
  'Cache-Control',
  'Strict-Transport-Security',
  'X-Content-Type-Options',
]
/** Headers that tell a page whether it may read an answer of the browser door. */
export const CORS: readonly AnswerHeaderName[] = [
  'Vary',
  'Access-Control-Allow-Origin',
  'Access-Control-Expose-Headers',
]
