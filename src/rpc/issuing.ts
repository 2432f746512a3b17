/** The request for a credential that the Worker sends to a Tenant, and the answer. Each fact is said once. */
import type { Caller } from '../auth/caller.ts'
import type { ChosenUrls } from '../cloudflare/iceUrls.ts'
import type { SendMint } from '../cloudflare/mintCall.ts'
import type { TenantIssuer } from '../contract/policy/issuers.ts'
import type { JwtReason } from '../contract/policy/jwtReasons.ts'

/** Who requests a credential, with what binds that asker. For whom, and with which key, says the request. */
export type Asker =
  | {
      readonly kind: 'client-token'
      /** The API token that made the client token, or `operator`. */
      readonly tokenId: string
      /** The only origin it may be used from; `null`: any of the policy. */
      readonly boundOrigin: string | null
      /** Life of its credentials: default and ceiling. `null`: the policy's. */
      readonly credentialTtlSeconds: number | null
    }
  /** `entry`: what the JWT was verified by. The Tenant refuses it with `invalid_token` unless its policy has that very entry. */
  | { readonly kind: 'tenant-jwt'; readonly entry: TenantIssuer }
  | { readonly kind: 'server'; readonly caller: Caller }

export interface IssueRequest {
  readonly requestId: string
  readonly asker: Asker
  /** The end user, as the tenant names them; `null`: a server named none. */
  readonly subject: string | null
  /** `null`: not asked. */
  readonly requestedTtlSeconds: number | null
  /** The TURN key that must be used; `null`: the policy's choice. */
  readonly keyId: string | null
  /** Of the page, as its browser sent it; `null`: none was sent. */
  readonly origin: string | null
  /** A page may get an existing credential of its subject again. A server always gets a new one. */
  readonly reuse: 'allowed' | 'never'
}

/** A JWT that the Worker refused although the provider of this issuer signed it. */
export interface RefusedJwt {
  readonly issuer: string
  readonly reason: JwtReason
  readonly requestId: string
  readonly origin: string | null
}

/**
 * The connection of the Worker that asks, for the one mint of its request: a Durable Object has six connections, and each
 * request of a Worker has six of its own. `null`: nothing is lent.
 */
export type Lend = SendMint | null

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
