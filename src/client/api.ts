/** What a page sees of the library: options, callbacks, the client. Types only; they need no DOM library. */

export interface IceServer {
  urls: string[]
  username?: string
  credential?: string
}

/** As a whole a configuration for `new RTCPeerConnection()`, which ignores what it does not know. Times are this machine's. */
export interface IceServerList {
  iceServers: IceServer[]
  /** `stun-only`: the broker has no relay to give right now. */
  source: 'minted' | 'reused' | 'stun-only'
  /** Milliseconds, comparable with `Date.now()`: when the credential ends. */
  expiresAt: number
  /** Milliseconds, comparable with `Date.now()`: when the next list will be asked for. */
  renewsAt: number
}

/** No new list could be had; the old one is still in use. */
export interface Degraded {
  /** Of the broker (docs/errors.md) or of the library (docs/client.md). */
  code: string
  retryInSeconds: number
  /** Milliseconds, comparable with `Date.now()`: when the list in use ends. */
  expiresAt: number
}

export interface IceServersError extends Error {
  name: 'IceServersError'
  /** Of the broker (docs/errors.md) or of the library (docs/client.md). */
  code: string
  /** HTTP status, where there was an answer. */
  status?: number
  /** Absent: it will not be tried again. */
  retryInSeconds?: number
}

export interface IceServersOptions {
  /** The broker's browser door: `https://turn.example.com/v1/tenants/acme/ice-servers`. */
  url: string
  /** A token for the door: a client token from your own back end, or your identity provider's JWT. Asked before every request, and once more after a 401. */
  getToken: () => string | Promise<string>
  /** Seconds a credential should live; the tenant's default when absent. */
  ttl?: number
  /** A list came. */
  onUpdate?: (list: IceServerList) => unknown
  /** A renewal failed; told again with every attempt that fails. */
  onDegraded?: (state: Degraded) => unknown
  /** There is no valid list any more, or there will be no other one. Told once, until a list comes. */
  onError?: (error: IceServersError) => unknown
  /** Instead of the global `fetch`. */
  fetch?: typeof globalThis.fetch
}

/** What the library uses of an `RTCPeerConnection`. */
export interface PeerConnection {
  readonly signalingState: string
  readonly iceConnectionState: string
  readonly iceGatheringState: string
  getConfiguration(): object
  setConfiguration(configuration: { iceServers: IceServer[] }): void
  restartIce(): void
  getStats(): Promise<{ forEach(callback: (entry: unknown) => void): void }>
  addEventListener(type: string, listener: () => void): void
  removeEventListener(type: string, listener: () => void): void
}

export interface AttachOptions {
  /** Whether this side restarts ICE at a renewal. One side of a connection does, the other says `false`; default `true`. */
  initiator?: boolean
}

export interface IceServersClient {
  /** The valid list; asks for one if there is none. Rejects with an `IceServersError`. */
  get(): Promise<IceServerList>
  /** Keeps a connection current until it is closed; the answer is a function that lets go of it earlier. */
  attach(connection: PeerConnection, options?: AttachOptions): () => void
  /** Ends everything: no timer, listener or request is left, and no callback comes any more. */
  stop(): void
  [Symbol.dispose](): void
}
