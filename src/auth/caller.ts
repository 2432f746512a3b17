/** The caller of a request, as data that crosses RPC. An API token is not verified yet: the Tenant does that. */

export type Caller =
  /** An API token: its id, and the SHA-256 of the whole token. The token itself never leaves the Worker. */
  | { readonly kind: 'api-token'; readonly tenant: string; readonly id: string; readonly digest: string }
  /** A person who runs the broker, already authenticated by auth/admin.ts. */
  | { readonly kind: 'operator'; readonly name: string }

/** The request that caused an RPC call, for the audit trail. */
export interface RequestRef {
  readonly requestId: string
}

/** The caller as the audit trail writes it: `admin:{name}` or `api-token:{id}`. */
export const actorOf = (caller: Caller): string =>
  caller.kind === 'operator' ? `admin:${caller.name}` : `api-token:${caller.id}`
