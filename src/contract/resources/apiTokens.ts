/** Schema of API tokens, the bearer tokens of a tenant's servers. A token is shown once, at creation or roll. */
import * as z from 'zod/mini'
import { Scope } from '../scopes.ts'
import { Instant, NonEmptyName } from '../values.ts'

export const MAX_API_TOKENS = 50
/** How long the old secret of a rolled token stays valid: the default and the maximum, in seconds. */
export const DEFAULT_OVERLAP_SECONDS = 3_600
export const MAX_OVERLAP_SECONDS = 604_800

export const ApiTokenCreate = z.strictObject({
  name: NonEmptyName,
  scopes: z.array(Scope).check(
    z.minLength(1),
    z.refine((list) => new Set(list).size === list.length, 'must not repeat a scope'),
  ),
  expiresAt: z.exactOptional(z.nullable(Instant)),
})
export type ApiTokenCreate = z.infer<typeof ApiTokenCreate>

export const ApiTokenRoll = z.strictObject({
  /** 0 ends the old secret at once. */
  overlapSeconds: z._default(z.int().check(z.minimum(0), z.maximum(MAX_OVERLAP_SECONDS)), DEFAULT_OVERLAP_SECONDS),
})
export type ApiTokenRoll = z.infer<typeof ApiTokenRoll>

export type ApiTokenView = {
  id: string
  name: string
  scopes: Scope[]
  expiresAt: string | null
  createdAt: string
  /** When the secret last changed, and until when the previous secret is accepted. */
  rolledAt: string | null
  previousValidUntil: string | null
}

export type ApiTokenWithSecret = ApiTokenView & { token: string }
