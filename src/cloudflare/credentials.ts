/**
 * Cloudflare's credential API, `/turn/keys/{uid}/credentials/…`: mint and revoke, each asked once, with the TURN key's
 * own secret. It is in no OpenAPI document and its answers come in several shapes; each is read defensively.
 */
import * as z from 'zod'
import { type Exchange, exchange, type Upstream } from './exchange.ts'
import { plainNo, type Reply } from './reply.ts'

const MAX_ANSWER_BYTES = 65_536

/** A minted credential, in one shape whatever upstream's was. */
export interface Minted {
  readonly username: string
  readonly credential: string
  /** All URLs as upstream listed them, STUN and TURN. */
  readonly urls: readonly string[]
}

const Opaque = z.string().regex(/^[\x21-\x7e]{1,1024}$/)
/** Shorter than any secret: an answer that has one is not an answer. */
const Password = z.string().regex(/^[\x21-\x7e]{16,1024}$/)
const Urls = z.union([z.string().transform((url) => [url]), z.array(z.string()).min(1).max(64)])
const IceServer = z.object({ urls: Urls, username: Opaque.optional(), credential: Password.optional() })
const Answer = z.object({
  iceServers: z.union([IceServer.transform((server) => [server]), z.array(IceServer).min(1).max(16)]),
})

export interface CredentialsApi {
  mint(
    key: { readonly uid: string; readonly secret: string },
    input: { readonly ttlSeconds: number; readonly customIdentifier: string | undefined },
    deadlineMs: number,
  ): Promise<Reply<Minted>>
  revoke(
    key: { readonly uid: string; readonly secret: string },
    username: string,
    deadlineMs: number,
  ): Promise<Reply<void>>
}

export function credentialsApi(config: { readonly rtcUrl: string }, upstream: Upstream): CredentialsApi {
  const at = (uid: string) => `${config.rtcUrl}/turn/keys/${encodeURIComponent(uid)}/credentials`
  const post = (url: string, secret: string, body: unknown, deadlineMs: number) =>
    exchange(upstream, { method: 'POST', url, bearer: secret, body, deadlineMs, maxBytes: MAX_ANSWER_BYTES })

  return {
    async mint(key, { ttlSeconds, customIdentifier }, deadlineMs) {
      const body = customIdentifier === undefined ? { ttl: ttlSeconds } : { ttl: ttlSeconds, customIdentifier }
      return readMinted(await post(`${at(key.uid)}/generate-ice-servers`, key.secret, body, deadlineMs))
    },
    async revoke(key, username, deadlineMs) {
      const url = `${at(key.uid)}/${encodeURIComponent(username)}/revoke`
      const it = await post(url, key.secret, undefined, deadlineMs)
      const no = plainNo(it)
      if (no) return no
      // 204 and nothing else is the documented yes.
      const done = it.kind === 'answered' && it.status === 204
      return done ? { kind: 'ok', value: undefined } : { kind: 'doubtful', reason: 'malformed' }
    },
  }
}

function readMinted(it: Exchange): Reply<Minted> {
  const no = plainNo(it)
  if (no) return no
  const malformed = { kind: 'doubtful', reason: 'malformed' } as const
  const answer = Answer.safeParse(it.kind === 'answered' && 'json' in it.body ? it.body.json : undefined)
  if (!answer.success) return malformed
  const { iceServers } = answer.data
  const [first, ...others] = iceServers.filter(
    (server) => server.username !== undefined || server.credential !== undefined,
  )
  if (first?.username === undefined || first.credential === undefined) return malformed
  // One credential was asked for; two different ones are not an answer to that.
  if (others.some(({ username, credential }) => username !== first.username || credential !== first.credential))
    return malformed
  const { username, credential } = first
  return { kind: 'ok', value: { username, credential, urls: iceServers.flatMap(({ urls }) => urls) } }
}
