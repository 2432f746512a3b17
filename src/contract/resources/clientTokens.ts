/** Client tokens: the short JWTs a tenant's back end gives its browsers. */
import * as z from 'zod'
import { WebOrigin } from '../policy/policy.ts'
import { TtlSeconds, TurnKeyUid } from '../values.ts'
import { Subject } from './credentials.ts'

export const DEFAULT_CLIENT_TOKEN_SECONDS = 600
export const MAX_CLIENT_TOKEN_SECONDS = 3_600

export const ClientTokenCreate = z.strictObject({
  subject: Subject,
  /** Life of the token itself, in seconds. */
  ttl: z.int().min(1).max(MAX_CLIENT_TOKEN_SECONDS).default(DEFAULT_CLIENT_TOKEN_SECONDS),
  /** Life of the credentials it is good for: default and ceiling of what its holder may ask. */
  credentialTtl: TtlSeconds.exactOptional(),
  /** Binds the token to one web origin of the policy. */
  origin: WebOrigin.exactOptional(),
  keyId: TurnKeyUid.exactOptional(),
})
export type ClientTokenCreate = z.infer<typeof ClientTokenCreate>

export type ClientTokenAnswer = { token: string; expiresAt: string }
