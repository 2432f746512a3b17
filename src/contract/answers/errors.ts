/** Schemas of error answers: problem+json (RFC 9457) on native routes, Cloudflare's envelope on Cloudflare's. */
import * as z from 'zod/mini'
import { ERRORS, type ErrorCode, MAX_RETRY_AFTER_SECONDS } from '../../errors.ts'
import { RequestId } from './shapes.ts'

const CODES = Object.keys(ERRORS) as [ErrorCode, ...ErrorCode[]] // Object.keys forgets the names; the table is not empty

const Sentence = z.string().check(z.minLength(1), z.meta({ maxLength: 300 }))

export const Problem = z.strictObject({
  type: z
    .url()
    .check(z.meta({ maxLength: 128 }), z.describe('Link to the section of docs/errors.md with cause and cure.')),
  title: z
    .string()
    .check(z.minLength(1), z.meta({ maxLength: 64 }), z.describe('The name of the error. Depends on `code` only.')),
  status: z.int().check(z.minimum(400), z.maximum(599), z.describe('The HTTP status of the answer.')),
  detail: Sentence.check(z.describe('What was wrong, for a person to read. The text may change.')),
  code: z.enum(CODES).check(z.describe('What was wrong, for a program to read. A code never changes its meaning.')),
  requestId: RequestId.check(z.describe('The same as `X-Request-Id`. Finds the request in the logs.')),
  retryAfter: z
    .exactOptional(z.int().check(z.minimum(1), z.maximum(MAX_RETRY_AFTER_SECONDS)))
    .check(z.describe('The same as `Retry-After`, in seconds.')),
})

/** Cloudflare documents `code` as an integer from 1000. */
const CloudflareError = z.strictObject({
  code: z
    .int()
    .check(
      z.minimum(1_000),
      z.maximum(99_999),
      z.describe("Cloudflare's number where it has one, else the broker's: 31000 + n."),
    ),
  message: Sentence.check(z.describe('What was wrong, for a person to read. The text may change.')),
})

export const CloudflareFailure = z.strictObject({
  success: z.literal(false),
  errors: z.array(CloudflareError).check(z.minLength(1), z.maxLength(1)),
  messages: z.array(z.unknown()).check(z.maxLength(0), z.describe('Always empty.')),
  result: z.null(),
})
