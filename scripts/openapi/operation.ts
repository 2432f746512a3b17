// What the tables in operations/ say about one route. contract/routes.ts says the rest: method, path, query, access, dialect.
import type { RouteName } from '../../src/contract/routes.ts'
import type { ErrorCode } from '../../src/errors.ts'
import type { EXAMPLES } from './examples.ts'
import type { ANSWER_HEADERS } from './headers.ts'
import type { REQUEST_HEADERS } from './parameters.ts'
import type { ANSWERS, REQUESTS } from './schemas.ts'

export const TAGS = {
  'ICE servers': 'For pages and apps: ICE servers for a client token, or for a JWT of the tenant’s identity provider.',
  'TURN keys': 'For back ends: TURN keys, in the shape of Cloudflare’s API, with rotation and import beside it.',
  Credentials:
    'For back ends: credentials, in the shapes of Cloudflare’s API and of TURN REST, and the list of live ones.',
  'Client tokens': 'For back ends: short-lived tokens for pages.',
  Revocations: 'For back ends: ending credentials, banning users and API tokens, erasing users.',
  Tenants: 'For operators: tenants and their policy. A tenant can read itself.',
  'API tokens': 'For operators: the tokens of a tenant’s servers.',
  Audit: 'The audit trails of tenants and of the account.',
  Account:
    'For operators: the Cloudflare account, its budget of API calls, the sweep, reseals, and the check of API tokens.',
  Public: 'For anyone: health.',
} as const

export type SchemaName = keyof typeof ANSWERS | keyof typeof REQUESTS
export type ExampleName = keyof typeof EXAMPLES
export type MediaType = 'application/json' | 'application/x-www-form-urlencoded' | 'text/plain'

export interface Body {
  /** `optional`: the request may be sent without a body. */
  readonly presence: 'required' | 'optional'
  readonly description: string
  /** A PATCH takes its JSON as `application/merge-patch+json` too. */
  readonly content: Readonly<Partial<Record<MediaType, readonly [SchemaName, ExampleName]>>>
}

export interface Answer {
  readonly description: string
  readonly headers?: readonly (keyof typeof ANSWER_HEADERS)[]
  /** JSON with its examples. Absent: no body. */
  readonly json?: readonly [SchemaName, ExampleName, ...ExampleName[]]
  /** Other content types of the same answer, each with its examples. The body is text. */
  readonly text?: Readonly<Record<string, readonly ExampleName[]>>
}

export interface Operation {
  readonly tag: keyof typeof TAGS
  /** What the request does, in a few words. */
  readonly summary: string
  /** What a caller must know beyond the summary, in whole sentences. Markdown of code spans and links only. */
  readonly description: string
  readonly headers?: readonly (keyof typeof REQUEST_HEADERS)[]
  readonly body?: Body
  /** By status, without the errors. */
  readonly answers: Readonly<Record<number, Answer>>
  /** Errors beyond those that follow from the route's row (errorCodes.ts). */
  readonly errors?: readonly ErrorCode[]
}

export type Operations<Names extends RouteName> = Readonly<Record<Names, Operation>>
