/** The small values every resource is made of: ids, names, times. Each is checked here and trusted from then on. */
import * as z from 'zod'

/** A tenant's id, chosen at creation, never used again after deletion. */
export const TenantId = z.string().regex(/^[a-z0-9][a-z0-9-]{0,31}$/, 'must match ^[a-z0-9][a-z0-9-]{0,31}$')
export type TenantId = z.infer<typeof TenantId>

/** Cloudflare's id of a TURN key. */
export const TurnKeyUid = z.string().regex(/^[A-Za-z0-9_-]{32}$/)
export type TurnKeyUid = z.infer<typeof TurnKeyUid>

/** The id of an API token; part of the token itself. */
export const API_TOKEN_ID_CHARACTERS = 12
export const ApiTokenId = z.string().regex(new RegExp(`^[0-9A-Za-z]{${API_TOKEN_ID_CHARACTERS}}$`))
export type ApiTokenId = z.infer<typeof ApiTokenId>

export const MAX_NAME_CHARACTERS = 100
/** Controls, and the marks that reorder what a reader sees. */
const INVISIBLE = /[\p{Cc}\u061C\u200E\u200F\u2028-\u202E\u2066-\u2069\uFEFF]/u

const wellFormed = (text: string) => text.isWellFormed() && !INVISIBLE.test(text)
const codePointsAtMost = (limit: number) => (text: string) => text.length <= 2 * limit && [...text].length <= limit

/** A name is stored as given: 0-100 code points, without control or bidirectional characters. */
export const Name = z
  .string()
  .refine(codePointsAtMost(MAX_NAME_CHARACTERS), `must have at most ${MAX_NAME_CHARACTERS} characters`)
  .refine(wellFormed, 'must not contain control or bidirectional characters')

/** As `Name`, but something must be there. */
export const NonEmptyName = Name.refine((text) => text.trim().length > 0, 'must not be empty')

/** 9999-12-31T23:59:59.999Z: RFC 3339 has four digits for a year. */
const LATEST_INSTANT_MS = 253_402_300_799_999

/** An instant as RFC 3339 with a zone; kept as milliseconds since 1970. */
export const Instant = z.iso
  .datetime({ offset: true })
  .transform((text) => Date.parse(text))
  .refine((ms) => ms <= LATEST_INSTANT_MS, 'must not be after the year 9999')

/** Milliseconds since 1970 as the RFC 3339 text of an answer. */
export const instant = (ms: number): string => new Date(ms).toISOString()

/** Whole seconds from `now` to `expiresAt`, both in milliseconds since 1970; 0 once it is past. */
export const secondsLeft = (expiresAt: number, now: number): number =>
  Math.max(0, Math.floor((expiresAt - now) / 1_000))

/** Cloudflare's own ceiling for a credential, 48 h. */
export const MAX_TTL_SECONDS = 172_800
/** The life of a credential in whole seconds, within Cloudflare's own bounds; a policy may allow less. Never coerced. */
export const TtlSeconds = z.int().min(1).max(MAX_TTL_SECONDS)

/** `Idempotency-Key`: 1-255 visible ASCII characters. */
export const IdempotencyKey = z.string().regex(/^[\x21-\x7e]{1,255}$/)
