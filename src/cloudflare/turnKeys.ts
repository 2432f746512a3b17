/**
 * Cloudflare's TURN key API: five calls, each sent once. An answer counts only in the documented shape.
 * Cloudflare's pages: "Create a new TURN key", "Retrieve TURN key details" and the others under
 * `/accounts/{account_id}/calls/turn_keys`. Must not know tenants, keep secrets or retry.
 */
import * as z from 'zod/mini'
import { Rfc3339 } from '../contract/values.ts'
import { CLOUDFLARE_ROUTE, CLOUDFLARE_TURN_KEY } from '../errors.ts'
import { type Exchange, type ExchangeRequest, exchange, type Upstream } from './exchange.ts'
import type { Observed } from './rateHeaders.ts'
import { failedReply, type Reply } from './reply.ts'

/** Enough for a list of 1,000 keys with long names. */
const MAX_LIST_BYTES = 4 * 1_048_576
const MAX_KEY_BYTES = 65_536

const Metadata = z.object({
  uid: z.string().check(z.regex(/^[A-Za-z0-9_-]{32}$/)),
  name: z._default(z.string(), ''),
  created: Rfc3339,
  modified: Rfc3339,
})
export type UpstreamKey = z.infer<typeof Metadata>

const Created = z.object({ ...Metadata.shape, key: z.string().check(z.regex(/^[\x21-\x7e]{64}$/)) })
export type CreatedKey = z.infer<typeof Created>

/** Only the needed fields of a list entry, so that one odd entry does not make the whole list malformed. */
const Listed = z.object({ uid: Metadata.shape.uid, name: z.nullish(z.string()) })
export type ListedKey = { readonly uid: string; readonly name: string }
const List = z.pipe(
  z.array(Listed),
  z.transform((keys): ListedKey[] => keys.map(({ uid, name }) => ({ uid, name: name ?? '' }))),
)

/** The fields of Cloudflare's envelope that decide between success and failure. */
const Envelope = z.object({
  success: z.optional(z.boolean()),
  errors: z.nullish(z.array(z.object({ code: z.optional(z.number()) }))),
  result: z.optional(z.unknown()),
})

export interface TurnKeysApi {
  create(name: string, deadlineMs: number): Promise<Reply<CreatedKey>>
  get(uid: string, deadlineMs: number): Promise<Reply<UpstreamKey>>
  list(deadlineMs: number): Promise<Reply<ListedKey[]>>
  update(uid: string, name: string, deadlineMs: number): Promise<Reply<UpstreamKey>>
  /** `ok` only if the answer names this uid. A repeated removal is `gone`. */
  remove(uid: string, deadlineMs: number): Promise<Reply<UpstreamKey>>
}

/** Receives the rate limit headers of every answer. Never rejects. */
export type RateObserver = (observed: Observed) => Promise<void>

export function turnKeysApi(
  config: { readonly apiUrl: string; readonly accountId: string; readonly callsApiToken: string },
  upstream: Upstream & { readonly observe: RateObserver },
): TurnKeysApi {
  const keys = `${config.apiUrl}/accounts/${encodeURIComponent(config.accountId)}/calls/turn_keys`
  const key = (uid: string) => `${keys}/${encodeURIComponent(uid)}`

  const call = async <T>(
    schema: z.ZodMiniType<T>,
    request: Omit<ExchangeRequest, 'bearer' | 'maxBytes'> & { maxBytes?: number },
  ): Promise<Reply<T>> => {
    const exchanged = await exchange(upstream, { maxBytes: MAX_KEY_BYTES, ...request, bearer: config.callsApiToken })
    await reportRate(upstream.observe, exchanged)
    return readReply(schema, exchanged)
  }

  /** An answer about another key is malformed. */
  const requireUid = async <T extends UpstreamKey>(uid: string, pending: Promise<Reply<T>>): Promise<Reply<T>> => {
    const reply = await pending
    return reply.kind === 'ok' && reply.value.uid !== uid ? { kind: 'doubtful', reason: 'malformed' } : reply
  }

  return {
    create: (name, deadlineMs) => call(Created, { method: 'POST', url: keys, body: { name }, deadlineMs }),
    get: (uid, deadlineMs) => requireUid(uid, call(Metadata, { method: 'GET', url: key(uid), deadlineMs })),
    list: (deadlineMs) => call(List, { method: 'GET', url: keys, deadlineMs, maxBytes: MAX_LIST_BYTES }),
    update: (uid, name, deadlineMs) =>
      requireUid(uid, call(Metadata, { method: 'PUT', url: key(uid), body: { name }, deadlineMs })),
    remove: (uid, deadlineMs) => requireUid(uid, call(Metadata, { method: 'DELETE', url: key(uid), deadlineMs })),
  }
}

/** Awaits the observer only after a 429: the block must be in force for all callers before this caller gets its error. */
async function reportRate(observe: RateObserver, exchanged: Exchange): Promise<void> {
  if (exchanged.kind !== 'answered') return
  const { status, retryAfterSeconds, rate } = exchanged
  const refused = status === 429
  const reported = observe({ refused, retryAfterSeconds, rate })
  if (refused) await reported
}

/** Turns an exchange into a reply. Anything that is neither a documented success nor a clear refusal is `doubtful`. */
function readReply<T>(schema: z.ZodMiniType<T>, exchanged: Exchange): Reply<T> {
  const json = exchanged.kind === 'answered' && 'json' in exchanged.body ? exchanged.body.json : undefined
  const envelope = Envelope.safeParse(json)
  if (
    exchanged.kind === 'answered' &&
    exchanged.status !== 429 &&
    envelope.success &&
    saysGone(exchanged.status, envelope.data)
  ) {
    return { kind: 'gone' }
  }
  const failed = failedReply(exchanged)
  if (failed) return failed
  if (!envelope.success || envelope.data.success === false) return { kind: 'doubtful', reason: 'malformed' }
  // Before September 2025 Cloudflare documented the create answer without the envelope.
  const result = schema.safeParse(envelope.data.result ?? json)
  return result.success ? { kind: 'ok', value: result.data } : { kind: 'doubtful', reason: 'malformed' }
}

/** Whether upstream says that the key does not exist. A 404 about the route or account, or without an envelope, does not. */
function saysGone(status: number, envelope: z.infer<typeof Envelope>): boolean {
  const codes = envelope.errors?.map((error) => error.code) ?? []
  if (codes.includes(CLOUDFLARE_TURN_KEY)) return true
  return status === 404 && envelope.success === false && !codes.includes(CLOUDFLARE_ROUTE)
}
