/// <reference lib="esnext.disposable" />
export interface IceServer {
    urls: string[];
    username?: string;
    credential?: string;
}
/** Can be passed to `new RTCPeerConnection()`, which ignores the extra fields. Times are by this machine's clock. */
export interface IceServerList {
    iceServers: IceServer[];
    /** `stun-only`: the broker cannot issue TURN credentials right now. */
    source: 'minted' | 'reused' | 'stun-only';
    /** When the credential expires, in milliseconds like `Date.now()`. */
    expiresAt: number;
    /** When the library requests the next list, in milliseconds like `Date.now()`. */
    renewsAt: number;
}
/** A renewal failed; the old list is still valid and in use. */
export interface Degraded {
    /** An error code of the broker (docs/errors.md) or of the library (docs/client.md). */
    code: string;
    retryInSeconds: number;
    /** When the list in use expires, in milliseconds like `Date.now()`. */
    expiresAt: number;
}
export interface IceServersError extends Error {
    name: 'IceServersError';
    /** An error code of the broker (docs/errors.md) or of the library (docs/client.md). */
    code: string;
    /** HTTP status, if there was an answer. */
    status?: number;
    /** Absent: the library will not retry. */
    retryInSeconds?: number;
}
/** A token, or a function that returns one. */
export type Token = string | (() => string | Promise<string>);
export interface IceServersOptions {
    /** The broker's browser door: `https://turn.example.com/v1/tenants/acme/ice-servers`. */
    url: string;
    /**
     * Returns a client token from your back end, or a JWT of your identity provider. Called before every request, and
     * once more after a 401. A string is one token for all requests, good until that token expires.
     */
    getToken: Token;
    /** Requested lifetime of a credential in seconds; the tenant's default if absent. */
    ttl?: number;
    /** Called with every list, the first and each renewed one. */
    onUpdate?: (list: IceServerList) => unknown;
    /** Called after every failed renewal while the old list is still valid. */
    onDegraded?: (state: Degraded) => unknown;
    /** Called when no list is valid any more, or when the library stops renewing. Called once, until a list arrives. */
    onError?: (error: IceServersError) => unknown;
    /** Used instead of the global `fetch`. */
    fetch?: typeof globalThis.fetch;
}
/** The part of `RTCPeerConnection` that the library uses. */
export interface PeerConnection {
    readonly signalingState: string;
    readonly iceConnectionState: string;
    readonly iceGatheringState: string;
    getConfiguration(): object;
    setConfiguration(configuration: {
        iceServers: IceServer[];
    }): void;
    restartIce(): void;
    getStats(): Promise<{
        forEach(callback: (entry: unknown) => void): void;
    }>;
    addEventListener(type: string, listener: () => void): void;
    removeEventListener(type: string, listener: () => void): void;
}
export interface AttachOptions {
    /** Whether this side restarts ICE at a renewal; default `true`. The other side of the connection passes `false`. */
    initiator?: boolean;
}
/** The state of a client. The object is replaced, never changed. */
export interface Snapshot {
    /** The valid list; `null` before the first one, and after the last one expired. */
    readonly list: IceServerList | null;
    /** Why the last attempt failed; `null` after a success. With a `list`, that list is still in use. */
    readonly error: IceServersError | null;
}
export interface IceServersClient {
    /** The valid list; requests one if there is none. Rejects with an `IceServersError`. */
    get(): Promise<IceServerList>;
    /** Keeps a connection's ICE servers current until it closes. Returns a function that detaches it earlier. */
    attach(connection: PeerConnection, options?: AttachOptions): () => void;
    /** Returns the same object until something changes. Sends no request. */
    getSnapshot(): Snapshot;
    /** Calls `listener` with every new snapshot; requests a list if there is none. Returns a function that unsubscribes. */
    subscribe(listener: (snapshot: Snapshot) => unknown): () => void;
    /** Stops the library: no timer, listener or request stays, and no callback is called any more. */
    stop(): void;
    [Symbol.dispose](): void;
}
/** Sends nothing before the first `get`, `attach` or `subscribe`. */
export declare function createIceServers(options: IceServersOptions): IceServersClient;
export declare function createIceServers(url: string, token: Token, options?: Omit<IceServersOptions, 'url' | 'getToken'>): IceServersClient;
