/** Schema of client tokens, the short-lived JWTs that a tenant's back end gives to its pages. */
import * as z from 'zod/mini'
import { WebOrigin } from '../policy/origins.ts'
import { TtlSeconds, TurnKeyUid } from '../values.ts'
import { Subject } from './credentials.ts'

export const DEFAULT_CLIENT_TOKEN_SECONDS = 600
export const MAX_CLIENT_TOKEN_SECONDS = 3_600

export const ClientTokenCreate = z.strictObject({
  subject: Subject,
  /** Lifetime of the token itself, in seconds. */
  ttl: z._default(z.int().check(z.minimum(1), z.maximum(MAX_CLIENT_TOKEN_SECONDS)), DEFAULT_CLIENT_TOKEN_SECONDS),
  /** Lifetime of its credentials in seconds: the default and the maximum. */
  credentialTtl: z.exactOptional(TtlSeconds),
  /** Binds the token to one web origin of the policy. */
  origin: z.exactOptional(WebOrigin),
  keyId: z.exactOptional(TurnKeyUid),
})
export type ClientTokenCreate = z.infer<typeof ClientTokenCreate>

export type ClientTokenAnswer = { token: string; expiresAt: string }
