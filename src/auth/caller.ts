/** The caller of a request, as data that crosses RPC. An API token is not verified yet: the Tenant does that. */
import type { Role } from '../contract/roles.ts'

export type Caller =
  /** An API token: its id, and the SHA-256 of the whole token. The token itself never leaves the Worker. */
  | { readonly kind: 'api-token'; readonly tenant: string; readonly id: string; readonly digest: string }
  /** Who runs the broker, already authenticated by auth/admin.ts. The holder of the admin token is an owner. */
  | { readonly kind: 'operator'; readonly name: string; readonly role: Role | 'none' }

/** The request that caused an RPC call, for the audit trail. */
export interface RequestRef {
  readonly requestId: string
}

/** The caller as the audit trail writes it: `admin:{name}` or `api-token:{id}`. */
export const actorOf = (caller: Caller): string =>
  caller.kind === 'operator' ? `admin:${caller.name}` : `api-token:${caller.id}`
