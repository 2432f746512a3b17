/**
 * Cloudflare's TURN key API: five calls, each asked once and its answer believed only in the documented shape.
 * API pages: "Create a new TURN key", "Retrieve TURN key details" and their siblings under
 * `/accounts/{account_id}/calls/turn_keys`. Knows no tenants, keeps no secrets, retries nothing.
 */
import * as z from 'zod'
import { CLOUDFLARE_ROUTE, CLOUDFLARE_TURN_KEY } from '../errors.ts'
import { type Ask, type Exchange, exchange, type Upstream } from './exchange.ts'
import type { Observed } from './rateHeaders.ts'
import { plainNo, type Reply } from './reply.ts'

/** Room for the list of 1,000 keys with generous names; one key needs far less. */
const MAX_LIST_BYTES = 4 * 1_048_576
const MAX_KEY_BYTES = 65_536

const Metadata = z.object({
  uid: z.string().regex(/^[A-Za-z0-9_-]{32}$/),
  name: z.string().default(''),
  created: z.iso.datetime({ offset: true }),
  modified: z.iso.datetime({ offset: true }),
})
export type UpstreamKey = z.infer<typeof Metadata>

const Created = Metadata.extend({ key: z.string().regex(/^[\x21-\x7e]{64}$/) })
export type CreatedKey = z.infer<typeof Created>

/** What is needed of an entry in the list: one entry that is not as documented must not hide the others. */
const Listed = z.object({ uid: Metadata.shape.uid, name: z.string().nullish() })
export type ListedKey = { readonly uid: string; readonly name: string }
const List = z.array(Listed).transform((keys): ListedKey[] => keys.map(({ uid, name }) => ({ uid, name: name ?? '' })))

/** The part of the envelope that is needed to judge an answer. */
const Envelope = z.object({
  success: z.boolean().optional(),
  errors: z.array(z.object({ code: z.number().optional() })).nullish(),
  result: z.unknown().optional(),
})

export interface TurnKeysApi {
  create(name: string, deadlineMs: number): Promise<Reply<CreatedKey>>
  get(uid: string, deadlineMs: number): Promise<Reply<UpstreamKey>>
  list(deadlineMs: number): Promise<Reply<ListedKey[]>>
  update(uid: string, name: string, deadlineMs: number): Promise<Reply<UpstreamKey>>
  /** Believed only in an answer about this very key; asked again, upstream has no such key. */
  remove(uid: string, deadlineMs: number): Promise<Reply<UpstreamKey>>
}

/** Is told what every answer said of the limits that all calls share. Never throws. */
export type Observer = (observed: Observed) => Promise<void>

export function turnKeysApi(
  config: { readonly apiUrl: string; readonly accountId: string; readonly callsApiToken: string },
  upstream: Upstream & { readonly observe: Observer },
): TurnKeysApi {
  const keys = `${config.apiUrl}/accounts/${encodeURIComponent(config.accountId)}/calls/turn_keys`
  const key = (uid: string) => `${keys}/${encodeURIComponent(uid)}`

  const call = async <T>(
    schema: z.ZodType<T>,
    ask: Omit<Ask, 'bearer' | 'maxBytes'> & { maxBytes?: number },
  ): Promise<Reply<T>> => {
    const it = await exchange(upstream, { maxBytes: MAX_KEY_BYTES, ...ask, bearer: config.callsApiToken })
    await tell(upstream.observe, it)
    return read(schema, it)
  }

  const about = async <T extends UpstreamKey>(uid: string, reply: Promise<Reply<T>>): Promise<Reply<T>> => {
    const it = await reply
    return it.kind === 'ok' && it.value.uid !== uid ? { kind: 'doubtful', reason: 'malformed' } : it
  }

  return {
    create: (name, deadlineMs) => call(Created, { method: 'POST', url: keys, body: { name }, deadlineMs }),
    get: (uid, deadlineMs) => about(uid, call(Metadata, { method: 'GET', url: key(uid), deadlineMs })),
    list: (deadlineMs) => call(List, { method: 'GET', url: keys, deadlineMs, maxBytes: MAX_LIST_BYTES }),
    update: (uid, name, deadlineMs) =>
      about(uid, call(Metadata, { method: 'PUT', url: key(uid), body: { name }, deadlineMs })),
    remove: (uid, deadlineMs) => about(uid, call(Metadata, { method: 'DELETE', url: key(uid), deadlineMs })),
  }
}

/** Only a 429 is waited for: whoever hears of it must find that the others know. */
async function tell(observe: Observer, it: Exchange): Promise<void> {
  if (it.kind !== 'answered') return
  const refused = it.status === 429
  const told = observe({ refused, retryAfterSeconds: it.retryAfterSeconds, rate: it.rate })
  if (refused) await told
}

/** Turns an exchange into a reply. What is not clearly a yes or a no is doubtful. */
function read<T>(schema: z.ZodType<T>, it: Exchange): Reply<T> {
  const json = it.kind === 'answered' && 'json' in it.body ? it.body.json : undefined
  const envelope = Envelope.safeParse(json)
  if (it.kind === 'answered' && it.status !== 429 && envelope.success && saysGone(it.status, envelope.data)) {
    return { kind: 'gone' }
  }
  const no = plainNo(it)
  if (no) return no
  if (!envelope.success || envelope.data.success === false) return { kind: 'doubtful', reason: 'malformed' }
  // Before September 2025 the create answer was published without its envelope.
  const result = schema.safeParse(envelope.data.result ?? json)
  return result.success ? { kind: 'ok', value: result.data } : { kind: 'doubtful', reason: 'malformed' }
}

/** A 404 that is no answer about a key (a page of HTML, a route or account that is not there) proves nothing about one. */
function saysGone(status: number, envelope: z.infer<typeof Envelope>): boolean {
  const codes = envelope.errors?.map((error) => error.code) ?? []
  if (codes.includes(CLOUDFLARE_TURN_KEY)) return true
  return status === 404 && envelope.success === false && !codes.includes(CLOUDFLARE_ROUTE)
}
