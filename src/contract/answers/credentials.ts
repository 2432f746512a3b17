/** Schemas of answers that issue credentials, list them, or hand out client tokens. */
import * as z from 'zod'
import type { ClientTokenAnswer } from '../resources/clientTokens.ts'
import {
  CredentialId,
  type CredentialView,
  type IceServersAnswer,
  type IceServer as IceServerType,
  SubjectId,
  type TurnRestAnswer,
  Username,
} from '../resources/credentials.ts'
import { MAX_TTL_SECONDS, TurnKeyUid } from '../values.ts'
import { answerOf, pageOf, Timestamp } from './shapes.ts'

const MAX_URLS = 64

const Urls = z
  .array(z.string().meta({ maxLength: 1_024, pattern: '^(stun|turn)s?:' }))
  .min(1)
  .max(MAX_URLS)
const turn = {
  urls: Urls,
  username: Username.describe('The username of the credential.'),
  credential: z
    .string()
    .regex(/^[\x21-\x7e]{16,1024}$/)
    .describe('The password of the credential.'),
}

export const IceServer = answerOf<IceServerType>()(
  z.union([
    z.strictObject({ urls: Urls }).describe('STUN: no credential.'),
    z.strictObject(turn).describe('TURN, with its credential.'),
  ]),
)
const Ttl = z.int().min(0).max(MAX_TTL_SECONDS)

export const IceServers = answerOf<IceServersAnswer>()(
  z.strictObject({
    iceServers: z.array(IceServer).max(2).describe('As `RTCConfiguration.iceServers` takes it.'),
    ttl: Ttl.describe('Seconds until the credential expires.'),
    expiresAt: Timestamp.describe('When the credential expires. Slightly earlier than at Cloudflare.'),
    refreshAfter: Ttl.describe('Seconds after which the page should ask again.'),
    source: z
      .enum(['minted', 'reused', 'stun-only'])
      .describe(
        '`minted`: a new credential. `reused`: a live credential of the same user. `stun-only`: Cloudflare is out of reach, and the policy says to answer STUN alone.',
      ),
  }),
)

/** Cloudflare's answer to `generate-ice-servers`: an array. */
export const GeneratedIceServers = z.strictObject({ iceServers: z.array(IceServer).min(1).max(2) })
/** Cloudflare's answer to `generate`: one object. */
export const GeneratedCredential = z.strictObject({ iceServers: z.strictObject(turn) })

export const TurnRestCredential = answerOf<TurnRestAnswer>()(
  z.strictObject({
    username: turn.username,
    password: turn.credential,
    ttl: Ttl.describe('Seconds until the credential expires.'),
    uris: Urls,
  }),
)

export const Credential = answerOf<CredentialView>()(
  z.strictObject({
    id: CredentialId.describe("The broker's id of the credential."),
    subjectId: SubjectId.nullable().describe('The subject that it was issued for. `null`: no subject was named.'),
    keyId: TurnKeyUid.describe('The TURN key that minted it.'),
    username: Username.describe('The username at Cloudflare. The password is not shown.'),
    issuedAt: Timestamp,
    expiresAt: Timestamp,
    origin: z
      .string()
      .meta({ maxLength: 255 })
      .nullable()
      .describe('The web origin of the page that asked. `null`: none was sent, or a server asked.'),
  }),
)
export const CredentialPage = pageOf(Credential)

export const ClientToken = answerOf<ClientTokenAnswer>()(
  z.strictObject({
    token: z
      .string()
      .regex(/^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/)
      .meta({ maxLength: 8_192 })
      .describe('The client token, a JWT. Only the browser door accepts it.'),
    expiresAt: Timestamp.describe('When the token itself expires.'),
  }),
)
