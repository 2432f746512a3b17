/**
 * The one request that mints a credential. It is sent by the Tenant, or by the Worker that called it and lends its connection: both
 * build the address here, so that a lent call can reach nothing else.
 */
import { type Exchange, exchange, type Upstream } from './exchange.ts'

/** Crosses RPC in both directions. Secret: never log it. */
export interface MintCall {
  readonly uid: string
  readonly secret: string
  readonly ttlSeconds: number
  readonly customIdentifier: string | undefined
  /** From the start of the call to the last byte of the answer. */
  readonly deadlineMs: number
}

/** Never rejects where it runs; through an RPC stub it rejects when the caller is gone. */
export type SendMint = (call: MintCall) => Promise<Exchange>

const MAX_ANSWER_BYTES = 16_384

export const credentialsUrl = (rtcUrl: string, uid: string): string =>
  `${rtcUrl}/turn/keys/${encodeURIComponent(uid)}/credentials`

export const mintSender =
  (rtcUrl: string, upstream: Upstream): SendMint =>
  ({ uid, secret, ttlSeconds, customIdentifier, deadlineMs }) =>
    exchange(upstream, {
      method: 'POST',
      url: `${credentialsUrl(rtcUrl, uid)}/generate-ice-servers`,
      bearer: secret,
      body: customIdentifier === undefined ? { ttl: ttlSeconds } : { ttl: ttlSeconds, customIdentifier },
      deadlineMs,
      maxBytes: MAX_ANSWER_BYTES,
    })
