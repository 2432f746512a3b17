/**
 * The one table of error codes. What a caller may learn of a failure is written here and nowhere else;
 * docs/errors.md explains each code and a test keeps the two alike. Rendering is http/'s business.
 */

interface ErrorRow {
  /** HTTP status of the answer. */
  readonly status: number
  readonly title: string
  /** Said when the place that failed has nothing more precise that is safe to say. */
  readonly sentence: string
  /** `errors[].code` in Cloudflare's envelope: Cloudflare's own where one exists, else 31000 + n, fixed per code. */
  readonly cloudflareCode: number
}

/** Cloudflare's own codes: an authentication error, no such route, no such TURN key. */
export const CLOUDFLARE_AUTHENTICATION = 10000
export const CLOUDFLARE_ROUTE = 7003
export const CLOUDFLARE_TURN_KEY = 20008

const row = (status: number, title: string, cloudflareCode: number, sentence: string): ErrorRow => ({
  status,
  title,
  cloudflareCode,
  sentence,
})

export const ERRORS = {
  invalid_request: row(400, 'Invalid request', 31001, 'The request is malformed.'),
  ttl_too_long: row(400, 'TTL too long', 31002, 'The requested ttl is above the ceiling of this tenant.'),
  invalid_token: row(401, 'Invalid token', CLOUDFLARE_AUTHENTICATION, 'A valid bearer token is required.'),
  insufficient_scope: row(403, 'Insufficient scope', CLOUDFLARE_AUTHENTICATION, 'The token may not do this.'),
  origin_not_allowed: row(403, 'Origin not allowed', 31003, 'This web origin is not in the policy of the tenant.'),
  tenant_suspended: row(403, 'Tenant suspended', 31004, 'The tenant is suspended.'),
  subject_banned: row(403, 'Subject banned', 31005, 'This subject is banned.'),
  https_required: row(403, 'HTTPS required', 31006, 'Use https.'),
  not_found: row(404, 'Not found', CLOUDFLARE_ROUTE, 'There is nothing here.'),
  method_not_allowed: row(405, 'Method not allowed', 31007, 'This path does not answer that method.'),
  no_turn_key: row(409, 'No TURN key', 31008, 'The tenant has no active TURN key.'),
  turn_key_limit: row(409, 'TURN key limit', 31009, 'The tenant has as many TURN keys as its policy allows.'),
  conflict: row(409, 'Conflict', 31010, 'The request conflicts with what is there.'),
  idempotency_in_progress: row(409, 'Still running', 31011, 'The first request with this Idempotency-Key still runs.'),
  secret_not_repeatable: row(
    409,
    'Secret not repeatable',
    31012,
    'The secret was shown once and cannot be shown again.',
  ),
  tenant_has_keys: row(409, 'Tenant has TURN keys', 31013, 'Delete its TURN keys first, or pass cascade=true.'),
  version_mismatch: row(412, 'Version mismatch', 31014, 'If-Match does not name the current version.'),
  too_large: row(413, 'Too large', 31015, 'The request body is above 16 KiB.'),
  unsupported_media_type: row(415, 'Unsupported media type', 31016, 'Send the body as application/json in UTF-8.'),
  idempotency_mismatch: row(422, 'Idempotency mismatch', 31017, 'This Idempotency-Key was used with another body.'),
  rate_limited: row(429, 'Rate limited', 31018, 'Too many requests; slow down.'),
  subject_limit: row(429, 'Subject limit', 31019, 'This subject has as many live credentials as the policy allows.'),
  tenant_limit: row(429, 'Tenant limit', 31020, 'The tenant has reached a limit of its policy.'),
  misconfigured: row(500, 'Misconfigured', 31021, 'The broker is not configured correctly.'),
  internal: row(500, 'Internal error', 31022, 'Something failed here; the request id finds it in the log.'),
  upstream_failed: row(502, 'Upstream failed', 31023, "Cloudflare's API refused or did not answer as documented."),
  broker_busy: row(503, 'Broker busy', 31024, 'Too much work is queued here; try again.'),
  storage_failed: row(503, 'Storage failed', 31025, 'The decision could not be stored, so nothing was handed out.'),
  upstream_unavailable: row(
    503,
    'Upstream unavailable',
    31026,
    "Cloudflare's API cannot be asked right now; try again.",
  ),
  upstream_timeout: row(504, 'Upstream timeout', 31027, "Cloudflare's API did not answer in time."),
  outcome_unknown: row(
    504,
    'Outcome unknown',
    31028,
    'It is not known whether this took effect; do not repeat it blindly.',
  ),
} as const satisfies Record<string, ErrorRow>

export type ErrorCode = keyof typeof ERRORS

/** The longest wait a caller is ever told, in seconds. */
export const MAX_RETRY_AFTER_SECONDS = 60

/** A failure as plain data: it crosses Durable Object RPC, where nothing is thrown. */
export interface Failure {
  readonly code: ErrorCode
  /** A public sentence written by us; never text of an upstream, an exception or a caller. */
  readonly detail?: string
  readonly retryAfterSeconds?: number
  /** Overrides the table's `cloudflareCode`: a missing TURN key is 20008, a missing route 7003. */
  readonly cloudflareCode?: number
  /** Repeating the request could do it twice: answered with `x-should-retry: false`. */
  readonly doNotRepeat?: true
}

export type Result<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly failure: Failure }

/** The only error thrown on purpose. Anything else that reaches a door is `internal`. */
export class BrokerError extends Error {
  readonly failure: Failure
  constructor(code: ErrorCode, rest: Omit<Failure, 'code'> = {}) {
    super(code)
    this.name = 'BrokerError'
    this.failure = { code, ...rest }
  }
}

/** No such TURN key for this caller: foreign, deleted and never-was are told apart by nobody. */
export const noSuchTurnKey = () =>
  new BrokerError('not_found', { cloudflareCode: CLOUDFLARE_TURN_KEY, detail: 'No such TURN key.' })

/** A failure that arrived as data, as the error it stands for. */
export const errorOf = ({ code, ...rest }: Failure): BrokerError => new BrokerError(code, rest)

/** The value of a typed result, or its failure thrown. */
export function unwrap<T>(result: Result<T>): T {
  if (result.ok) return result.value
  throw errorOf(result.failure)
}
