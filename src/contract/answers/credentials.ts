/** Schemas of answers that issue credentials, list them, or hand out client tokens. */
import * as z from 'zod/mini'
import type { ClientTokenAnswer } from '../resources/clientTokens.ts'
import {
  CredentialId,
  type CredentialView,
  type IceServersAnswer,
  type IceServer as IceServerType,
  type SelkiesAnswer,
  SubjectId,
  type TurnRestAnswer,
  Username,
} from '../resources/credentials.ts'
import { MAX_TTL_SECONDS, TurnKeyUid } from '../values.ts'
import { answerOf, pageOf, Timestamp } from './shapes.ts'

const MAX_URLS = 64

const Urls = z
  .array(z.string().check(z.meta({ maxLength: 1_024, pattern: '^(stun|turn)s?:' })))
  .check(z.minLength(1), z.maxLength(MAX_URLS))
const turn = {
  urls: Urls,
  username: Username.check(z.describe('The username of the credential.')),
  credential: z.string().check(z.regex(/^[\x21-\x7e]{16,1024}$/), z.describe('The password of the credential.')),
}

export const IceServer = answerOf<IceServerType>()(
  z.union([
    z.strictObject({ urls: Urls }).check(z.describe('STUN: no credential.')),
    z.strictObject(turn).check(z.describe('TURN, with its credential.')),
  ]),
)
const Ttl = z.int().check(z.minimum(0), z.maximum(MAX_TTL_SECONDS))

export const IceServers = answerOf<IceServersAnswer>()(
  z.strictObject({
    iceServers: z.array(IceServer).check(z.maxLength(2), z.describe('As `RTCConfiguration.iceServers` takes it.')),
    ttl: Ttl.check(z.describe('Seconds until the credential expires.')),
    expiresAt: Timestamp.check(z.describe('When the credential expires. Slightly earlier than at Cloudflare.')),
    refreshAfter: Ttl.check(z.describe('Seconds after which the page should ask again.')),
    source: z
      .enum(['minted', 'reused', 'stun-only'])
      .check(
        z.describe(
          '`minted`: a new credential. `reused`: a live credential of the same user. `stun-only`: Cloudflare is out of reach, and the policy says to answer STUN alone.',
        ),
      ),
  }),
)

/** Cloudflare's answer to `generate-ice-servers`: an array. */
export const GeneratedIceServers = z.strictObject({
  iceServers: z.array(IceServer).check(z.minLength(1), z.maxLength(2)),
})
/** Cloudflare's answer to `generate`: one object. */
export const GeneratedCredential = z.strictObject({ iceServers: z.strictObject(turn) })

export const TurnRestCredential = answerOf<TurnRestAnswer>()(
  z.strictObject({
    username: turn.username,
    password: turn.credential,
    ttl: Ttl.check(z.describe('Seconds until the credential expires.')),
    uris: Urls,
  }),
)

const IceServerList = z.array(IceServer).check(z.minLength(1), z.maxLength(2))
const Selkies = answerOf<SelkiesAnswer>()(
  z.strictObject({
    lifetimeDuration: z
      .string()
      .check(
        z.regex(/^[0-9]{1,6}s$/),
        z.meta({ maxLength: 7 }),
        z.describe('Seconds until the credential expires, with the unit.'),
      ),
    iceServers: IceServerList,
    blockStatus: z.literal('NOT_BLOCKED').check(z.describe('Always `NOT_BLOCKED`.')),
    iceTransportPolicy: z.literal('all').check(z.describe('Always `all`.')),
  }),
)
/** Every dialect of `turn-rest` that is JSON. */
export const TurnRestJson = z.union([
  TurnRestCredential.check(z.describe('`uberti` and `matrix`.')),
  z.strictObject({ iceServers: IceServerList }).check(z.describe('`rtc`.')),
  IceServerList.check(z.describe('`ice-servers`.')),
  Selkies.check(z.describe('`selkies`.')),
])

export const Credential = answerOf<CredentialView>()(
  z.strictObject({
    id: CredentialId.check(z.describe("The broker's id of the credential.")),
    subjectId: z
      .nullable(SubjectId)
      .check(z.describe('The subject that it was issued for. `null`: no subject was named.')),
    keyId: TurnKeyUid.check(z.describe('The TURN key that minted it.')),
    username: Username.check(z.describe('The username at Cloudflare. The password is not shown.')),
    issuedAt: Timestamp,
    expiresAt: Timestamp,
    origin: z
      .nullable(z.string().check(z.meta({ maxLength: 255 })))
      .check(
        z.describe(
          'The web origin of the page that asked; the text `"null"` if it is opaque. `null`: none was sent, or a server asked.',
        ),
      ),
  }),
)
export const CredentialPage = pageOf(Credential)

export const ClientToken = answerOf<ClientTokenAnswer>()(
  z.strictObject({
    token: z
      .string()
      .check(
        z.regex(/^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/),
        z.meta({ maxLength: 8_192 }),
        z.describe('The client token, a JWT. Only the browser door accepts it.'),
      ),
    expiresAt: Timestamp.check(z.describe('When the token itself expires.')),
  }),
)
