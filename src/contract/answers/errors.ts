/** Schemas of error answers: problem+json (RFC 9457) on native routes, Cloudflare's envelope on Cloudflare's. */
import * as z from 'zod'
import { ERRORS, type ErrorCode, MAX_RETRY_AFTER_SECONDS } from '../../errors.ts'
import { RequestId } from './shapes.ts'

const CODES = Object.keys(ERRORS) as [ErrorCode, ...ErrorCode[]] // Object.keys forgets the names; the table is not empty

const Sentence = z.string().min(1).meta({ maxLength: 300 })

export const Problem = z.strictObject({
  type: z.url().meta({ maxLength: 128 }).describe('Link to the section of docs/errors.md with cause and cure.'),
  title: z.string().min(1).meta({ maxLength: 64 }).describe('The name of the error. Depends on `code` only.'),
  status: z.int().min(400).max(599).describe('The HTTP status of the answer.'),
  detail: Sentence.describe('What was wrong, for a person to read. The text may change.'),
  code: z.enum(CODES).describe('What was wrong, for a program to read. A code never changes its meaning.'),
  requestId: RequestId.describe('The same as `X-Request-Id`. Finds the request in the logs.'),
  retryAfter: z
    .int()
    .min(1)
    .max(MAX_RETRY_AFTER_SECONDS)
    .exactOptional()
    .describe('The same as `Retry-After`, in seconds.'),
})

/** Cloudflare documents `code` as an integer from 1000. */
const CloudflareError = z.strictObject({
  code: z.int().min(1_000).max(99_999).describe("Cloudflare's number where it has one, else the broker's: 31000 + n."),
  message: Sentence.describe('What was wrong, for a person to read. The text may change.'),
})

export const CloudflareFailure = z.strictObject({
  success: z.literal(false),
  errors: z.array(CloudflareError).min(1).max(1),
  messages: z.array(z.unknown()).max(0).describe('Always empty.'),
  result: z.null(),
})
