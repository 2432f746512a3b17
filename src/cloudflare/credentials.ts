/**
 * Cloudflare's credential API, `/turn/keys/{uid}/credentials/…`: mint and revoke, authorized by the TURN key's secret.
 * Each call is sent once, without a retry. The API is in no OpenAPI document and answers in several shapes, so every
 * answer is validated.
 */
import * as z from 'zod/mini'
import { type Exchange, exchange, type Upstream } from './exchange.ts'
import { credentialsUrl, mintSender, type SendMint } from './mintCall.ts'
import { failedReply, type Reply } from './reply.ts'

const MAX_ANSWER_BYTES = 16_384

/** A minted credential, normalized from any of upstream's shapes. */
export interface Minted {
  readonly username: string
  readonly credential: string
  /** All STUN and TURN URLs, as upstream listed them. */
  readonly urls: readonly string[]
}

const Opaque = z.string().check(z.regex(/^[\x21-\x7e]{1,1024}$/))
/** A password under 16 characters makes the whole answer malformed. */
const Password = z.string().check(z.regex(/^[\x21-\x7e]{16,1024}$/))
const Urls = z.union([
  z.pipe(
    z.string(),
    z.transform((url) => [url]),
  ),
  z.array(z.string()).check(z.minLength(1), z.maxLength(64)),
])
const IceServer = z.object({ urls: Urls, username: z.optional(Opaque), credential: z.optional(Password) })
const Answer = z.object({
  iceServers: z.union([
    z.pipe(
      IceServer,
      z.transform((server) => [server]),
    ),
    z.array(IceServer).check(z.minLength(1), z.maxLength(16)),
  ]),
})

export interface CredentialsApi {
  /** `through`: the connection of the caller, in place of the object's own. It rejects when the caller is gone. */
  mint(
    key: { readonly uid: string; readonly secret: string },
    input: { readonly ttlSeconds: number; readonly customIdentifier: string | undefined },
    deadlineMs: number,
    through?: SendMint,
  ): Promise<Reply<Minted>>
  revoke(
    key: { readonly uid: string; readonly secret: string },
    username: string,
    deadlineMs: number,
  ): Promise<Reply<void>>
}

export function credentialsApi(config: { readonly rtcUrl: string }, upstream: Upstream): CredentialsApi {
  const own = mintSender(config.rtcUrl, upstream)

  return {
    async mint({ uid, secret }, { ttlSeconds, customIdentifier }, deadlineMs, through = own) {
      return readMinted(await through({ uid, secret, ttlSeconds, customIdentifier, deadlineMs }))
    },
    async revoke(key, username, deadlineMs) {
      const url = `${credentialsUrl(config.rtcUrl, key.uid)}/${encodeURIComponent(username)}/revoke`
      const exchanged = await exchange(upstream, {
        method: 'POST',
        url,
        bearer: key.secret,
        deadlineMs,
        maxBytes: MAX_ANSWER_BYTES,
      })
      const failed = failedReply(exchanged)
      if (failed) return failed
      // 204 is the only documented success.
      const done = exchanged.kind === 'answered' && exchanged.status === 204
      return done ? { kind: 'ok', value: undefined } : { kind: 'doubtful', reason: 'malformed' }
    },
  }
}

function readMinted(exchanged: Exchange): Reply<Minted> {
  const failed = failedReply(exchanged)
  if (failed) return failed
  const malformed = { kind: 'doubtful', reason: 'malformed' } as const
  const answer = Answer.safeParse(
    exchanged.kind === 'answered' && 'json' in exchanged.body ? exchanged.body.json : undefined,
  )
  if (!answer.success) return malformed
  const { iceServers } = answer.data
  const [first, ...others] = iceServers.filter(
    (server) => server.username !== undefined || server.credential !== undefined,
  )
  if (first?.username === undefined || first.credential === undefined) return malformed
  // Exactly one credential was requested, so two different ones are malformed.
  if (others.some(({ username, credential }) => username !== first.username || credential !== first.credential))
    return malformed
  const { username, credential } = first
  return { kind: 'ok', value: { username, credential, urls: iceServers.flatMap(({ urls }) => urls) } }
}
