/** RPC messages of issuing a credential. */
import type { Caller } from '../auth/caller.ts'
import type { ClientToken } from '../auth/clientTokens.ts'
import type { TenantJwt } from '../auth/tenantJwts.ts'
import type { ChosenUrls } from '../cloudflare/iceUrls.ts'

/** Who requests a credential. */
export type Asker =
  | { readonly kind: 'client-token'; readonly token: ClientToken }
  | { readonly kind: 'tenant-jwt'; readonly jwt: TenantJwt }
  | { readonly kind: 'server'; readonly caller: Caller }

export interface IssueRequest {
  readonly requestId: string
  readonly asker: Asker
  /** `null`: a server named no subject. */
  readonly subject: string | null
  /** Requested seconds; `null`: the default. */
  readonly ttl: number | null
  /** The TURN key to use; `null`: the policy chooses. */
  readonly keyId: string | null
  readonly origin: string | null
  /** A page may get an existing credential of its subject again. A server always gets a new one. */
  readonly reuse: 'allowed' | 'never'
}

/** An issued credential. Each route turns it into its own answer. */
export interface Issued {
  readonly source: 'minted' | 'reused'
  readonly id: string
  readonly username: string
  readonly credential: string
  readonly urls: ChosenUrls
  /** Milliseconds since 1970, taken just before the mint upstream, so `expiresAt` is never after Cloudflare's. */
  readonly issuedAt: number
  readonly expiresAt: number
}

export interface StunOnly {
  readonly source: 'stun-only'
  readonly urls: ChosenUrls
}
