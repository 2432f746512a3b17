/** The request for a credential that the Worker sends to a Tenant, and the answer. Each fact is said once. */
import type { Caller } from '../auth/caller.ts'
import type { ChosenUrls } from '../cloudflare/iceUrls.ts'

/** Who asks for a credential, with what binds that asker. For whom, and with which key, says the request. */
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
  | { readonly kind: 'tenant-jwt'; readonly issuer: string; readonly audience: string }
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
