/** Who is calling, as data that crosses RPC. The Tenant decides what it is worth; nothing here is verified yet. */

export type Caller =
  /** An API token: its id, and the SHA-256 of the whole token. The token itself goes no further than the Worker. */
  | { readonly kind: 'api-token'; readonly tenant: string; readonly id: string; readonly digest: string }
  /** One of the people who run the broker, verified by the admin door. */
  | { readonly kind: 'operator'; readonly name: string }

/** What every call into an object carries for the audit trail. */
export interface RequestRef {
  readonly requestId: string
}

/** The caller's name in the audit trail. */
export const actorOf = (caller: Caller): string =>
  caller.kind === 'operator' ? `admin:${caller.name}` : `api-token:${caller.id}`
