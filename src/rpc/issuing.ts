/** Asking the Tenant for a credential, and what it answers. */
import type { Caller } from '../auth/caller.ts'
import type { ClientToken } from '../auth/clientTokens.ts'
import type { TenantJwt } from '../auth/tenantJwts.ts'
import type { ChosenUrls } from '../cloudflare/iceUrls.ts'

/** Who asks for a credential. */
export type Asker =
  | { readonly kind: 'client-token'; readonly token: ClientToken }
  | { readonly kind: 'tenant-jwt'; readonly jwt: TenantJwt }
  | { readonly kind: 'server'; readonly caller: Caller }

export interface IssueRequest {
  readonly requestId: string
  readonly asker: Asker
  /** `null`: a server did not say whom it is for. */
  readonly subject: string | null
  /** Seconds; `null`: not asked. */
  readonly ttl: number | null
  /** The TURN key that must be used; `null`: the policy's choice. */
  readonly keyId: string | null
  readonly origin: string | null
  /** A browser is as well served by a credential it was given before; a server wants its own. */
  readonly reuse: 'allowed' | 'never'
}

/** What was issued, before any door gives it its shape. */
export interface Issued {
  readonly source: 'minted' | 'reused'
  readonly id: string
  readonly username: string
  readonly credential: string
  readonly urls: ChosenUrls
  /** Milliseconds since 1970; counted from just before the request upstream, so that we always end first. */
  readonly issuedAt: number
  readonly expiresAt: number
}

export interface StunOnly {
  readonly source: 'stun-only'
  readonly urls: ChosenUrls
}
