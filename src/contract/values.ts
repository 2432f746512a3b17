/** Small values that all resources share: ids, names, times. Each is validated by its schema here. */
import * as z from 'zod/mini'

/** A tenant's id, chosen at creation. It is never reused after deletion. */
export const TenantId = z.string().check(z.regex(/^[a-z0-9][a-z0-9-]{0,31}$/, 'must match ^[a-z0-9][a-z0-9-]{0,31}$'))
export type TenantId = z.infer<typeof TenantId>

/** Cloudflare's id of a TURN key. */
export const TurnKeyUid = z.string().check(z.regex(/^[A-Za-z0-9_-]{32}$/))
export type TurnKeyUid = z.infer<typeof TurnKeyUid>

/** The id of an API token. It is part of the token. */
export const API_TOKEN_ID_CHARACTERS = 12
export const ApiTokenId = z.string().check(z.regex(new RegExp(`^[0-9A-Za-z]{${API_TOKEN_ID_CHARACTERS}}$`)))
export type ApiTokenId = z.infer<typeof ApiTokenId>

export const MAX_NAME_CHARACTERS = 100
/** Control characters, and Unicode marks that change the visible order of text. */
const INVISIBLE = /[\p{Cc}\u061C\u200E\u200F\u2028-\u202E\u2066-\u2069\uFEFF]/u

const wellFormed = (text: string) => text.isWellFormed() && !INVISIBLE.test(text)
const codePointsAtMost = (limit: number) => (text: string) => text.length <= 2 * limit && [...text].length <= limit

/** A name, stored unchanged: 0-100 code points, without control or bidirectional characters. */
export const Name = z
  .string()
  .check(
    z.refine(codePointsAtMost(MAX_NAME_CHARACTERS), `must have at most ${MAX_NAME_CHARACTERS} characters`),
    z.refine(wellFormed, 'must not contain control or bidirectional characters'),
  )

/** Like `Name`, but not empty or blank. */
export const NonEmptyName = Name.check(z.refine((text) => text.trim().length > 0, 'must not be empty'))

/** 9999-12-31T23:59:59.999Z: a year in RFC 3339 has four digits. */
const LATEST_INSTANT_MS = 253_402_300_799_999

/** RFC 3339 with a zone. As `z.iso.datetime` makes it, because a bundler takes all of `z.iso` or nothing. */
export const Rfc3339 = new z.ZodMiniISODateTime({
  type: 'string',
  format: 'datetime',
  check: 'string_format',
  offset: true,
  local: false,
  precision: null,
})

/** Parses RFC 3339 with a zone to milliseconds since 1970. */
export const Instant = z
  .pipe(
    Rfc3339,
    z.transform((text) => Date.parse(text)),
  )
  .check(z.refine((ms) => ms <= LATEST_INSTANT_MS, 'must not be after the year 9999'))

/** Formats milliseconds since 1970 as RFC 3339. */
export const instant = (ms: number): string => new Date(ms).toISOString()

/** Whole seconds from `now` to `expiresAt`, both in milliseconds since 1970; 0 after expiry. */
export const secondsLeft = (expiresAt: number, now: number): number =>
  Math.max(0, Math.floor((expiresAt - now) / 1_000))

/** Cloudflare's own ceiling for a credential, 48 h. */
export const MAX_TTL_SECONDS = 172_800
/** The life of a credential in whole seconds, within Cloudflare's own bounds; a policy may allow less. Never coerced. */
export const TtlSeconds = z.int().check(z.minimum(1), z.maximum(MAX_TTL_SECONDS))

/** `Idempotency-Key`: 1-255 visible ASCII characters. */
export const IdempotencyKey = z.string().check(z.regex(/^[\x21-\x7e]{1,255}$/))
