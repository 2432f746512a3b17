/**
 * The table of error codes: status, title and default sentence of each. docs/errors.md explains each code, and a test
 * compares the two. http/errors.ts renders them.
 */

interface ErrorRow {
  /** HTTP status of the answer. */
  readonly status: number
  readonly title: string
  /** The default `detail`, if the failing code gives no more precise one. Must be safe for any caller. */
  readonly sentence: string
  /** `errors[].code` in Cloudflare's envelope: Cloudflare's code where one exists, else 31000 + n. Never changes. */
  readonly cloudflareCode: number
}

/** Cloudflare's codes for: authentication error, unknown route, unknown TURN key. */
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
  invalid_request: row(400, 'Invalid request', 31001, 'The request is malformed; correct it before you repeat it.'),
  ttl_too_long: row(400, 'TTL too long', 31002, 'The requested ttl is above the limit of the policy; ask for less.'),
  invalid_token: row(401, 'Invalid token', CLOUDFLARE_AUTHENTICATION, 'A valid bearer token is required.'),
  insufficient_scope: row(
    403,
    'Insufficient scope',
    CLOUDFLARE_AUTHENTICATION,
    'The token lacks the scope, or is of another tenant.',
  ),
  origin_not_allowed: row(403, 'Origin not allowed', 31003, 'The policy or the token does not allow this web origin.'),
  tenant_suspended: row(403, 'Tenant suspended', 31004, 'The tenant is suspended, so nothing new is created.'),
  subject_banned: row(403, 'Subject banned', 31005, 'This subject is banned.'),
  role_required: row(
    403,
    'Role required',
    31030,
    'The role of the operator does not allow this; an owner of the broker gives roles.',
  ),
  https_required: row(403, 'HTTPS required', 31006, 'Plain http is refused; use https.'),
  not_found: row(404, 'Not found', CLOUDFLARE_ROUTE, 'There is no such path or resource.'),
  method_not_allowed: row(
    405,
    'Method not allowed',
    31007,
    'This path does not take that method; see the Allow header.',
  ),
  no_turn_key: row(409, 'No TURN key', 31008, 'The tenant has no active TURN key; create one.'),
  turn_key_limit: row(409, 'TURN key limit', 31009, 'The tenant has reached maxTurnKeys; delete a key.'),
  conflict: row(409, 'Conflict', 31010, 'The request conflicts with the current state.'),
  idempotency_in_progress: row(409, 'Still running', 31011, 'The first request with this Idempotency-Key still runs.'),
  secret_not_repeatable: row(
    409,
    'Secret not repeatable',
    31012,
    'This Idempotency-Key made an API token, which is shown once; roll it for a new secret.',
  ),
  tenant_has_keys: row(
    409,
    'Tenant has TURN keys',
    31013,
    'The tenant has TURN keys; delete them first, or pass cascade=true.',
  ),
  version_mismatch: row(412, 'Version mismatch', 31014, 'If-Match is not the current version; read the tenant again.'),
  too_large: row(413, 'Too large', 31015, 'The request body is too large.'),
  unsupported_media_type: row(415, 'Unsupported media type', 31016, 'This route takes no body of that kind.'),
  idempotency_mismatch: row(
    422,
    'Idempotency mismatch',
    31017,
    'This Idempotency-Key was used with another body; use a new key.',
  ),
  discovery_failed: row(
    422,
    'Discovery failed',
    31029,
    "The issuer's discovery document does not lead to its key set; correct the issuer, or give jwksUrl.",
  ),
  rate_limited: row(429, 'Rate limited', 31018, 'Too many requests; wait for Retry-After.'),
  subject_limit: row(
    429,
    'Subject limit',
    31019,
    'The subject has reached maxLiveCredentialsPerSubject; use or revoke its credentials.',
  ),
  tenant_limit: row(
    429,
    'Tenant limit',
    31020,
    'The tenant has reached a limit of its policy; wait, or have it raised.',
  ),
  misconfigured: row(
    500,
    'Misconfigured',
    31021,
    'A variable, secret or binding of the broker is missing or malformed.',
  ),
  internal: row(500, 'Internal error', 31022, 'The broker failed; report the request id, which finds it in the log.'),
  upstream_failed: row(
    502,
    'Upstream failed',
    31023,
    "Cloudflare's API refused the call, failed, or did not answer as documented.",
  ),
  broker_busy: row(503, 'Broker busy', 31024, 'Too many requests are queued in the broker; repeat after Retry-After.'),
  storage_failed: row(
    503,
    'Storage failed',
    31025,
    'The decision could not be stored, so nothing was handed out; repeat after Retry-After.',
  ),
  upstream_unavailable: row(
    503,
    'Upstream unavailable',
    31026,
    "Cloudflare's API is rate-limited or unreachable; repeat after Retry-After.",
  ),
  upstream_timeout: row(504, 'Upstream timeout', 31027, "Cloudflare's API did not answer in time; repeat the request."),
  outcome_unknown: row(
    504,
    'Outcome unknown',
    31028,
    'The result is unknown. List the keys (or tenants, tokens), or repeat with the same Idempotency-Key.',
  ),
} as const satisfies Record<string, ErrorRow>

export type ErrorCode = keyof typeof ERRORS

/** The largest `Retry-After` of any answer. */
export const MAX_RETRY_AFTER_SECONDS = 60

/** A failure as plain data, because RPC methods return failures instead of throwing. */
export interface Failure {
  readonly code: ErrorCode
  /** A public sentence. Must not contain text of an upstream, an exception or a caller. */
  readonly detail?: string
  readonly retryAfterSeconds?: number
  /** Overrides the table's `cloudflareCode`: a missing TURN key is 20008, a missing route 7003. */
  readonly cloudflareCode?: number
  /** The Tenant refused this caller's token now. Not set on a stored failure that is only repeated to a caller. */
  readonly aboutCaller?: true
  /** A repeat could take effect twice, so the answer has `x-should-retry: false`. */
  readonly doNotRepeat?: true
}

export type Result<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly failure: Failure }

/** A failure as it may be stored and repeated to a later caller. */
export function storable({ aboutCaller: _aboutCaller, ...failure }: Failure): Failure {
  return failure
}

/** V8's own property; the types of the runtime leave it out. */
const V8_ERROR = Error as ErrorConstructor & { stackTraceLimit: number }

/** The only error thrown on purpose. Any other exception is answered as `internal`. */
export class BrokerError extends Error {
  readonly failure: Failure
  constructor(code: ErrorCode, rest: Omit<Failure, 'code'> = {}) {
    // Thrown on purpose and answered from its code: a stack trace would be the most costly part of a refusal.
    const { stackTraceLimit } = V8_ERROR
    V8_ERROR.stackTraceLimit = 0
    super(code)
    V8_ERROR.stackTraceLimit = stackTraceLimit
    this.name = 'BrokerError'
    this.failure = { code, ...rest }
  }
}

/** The same 404 for a TURN key that is unknown, deleted or another tenant's. */
export const noSuchTurnKey = () =>
  new BrokerError('not_found', { cloudflareCode: CLOUDFLARE_TURN_KEY, detail: 'No such TURN key.' })

/** The error of a failure that RPC returned as data. */
export const errorOf = ({ code, ...rest }: Failure): BrokerError => new BrokerError(code, rest)

/** The value of a result. Throws its failure. */
export function unwrap<T>(result: Result<T>): T {
  if (result.ok) return result.value
  throw errorOf(result.failure)
}
