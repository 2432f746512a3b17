/** The scopes of API tokens. No scope implies another. */
import * as z from 'zod/mini'

export const SCOPES = [
  'tenant:read',
  'turn_keys:read',
  'turn_keys:write',
  'turn_keys:reveal',
  'credentials:issue',
  'credentials:read',
  'credentials:revoke',
  'client_tokens:create',
  'audit:read',
  'usage:read',
] as const

export const Scope = z.enum(SCOPES)
export type Scope = z.infer<typeof Scope>
