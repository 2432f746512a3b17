/** Requests and answers of every route that issues credentials. */
import * as z from 'zod/mini'
import { TtlSeconds } from '../values.ts'

const MAX_SUBJECT_CHARACTERS = 128

/** The end user of a credential, as the tenant names it: 1-128 code points, no control characters. Compared exactly. */
export const Subject = z.string().check(
  z.minLength(1),
  z.refine(
    (text) => text.length <= 2 * MAX_SUBJECT_CHARACTERS && [...text].length <= MAX_SUBJECT_CHARACTERS,
    'must have at most 128 characters',
  ),
  z.refine((text) => text.isWellFormed() && !/\p{Cc}/u.test(text), 'must not contain control characters'),
)
export type Subject = z.infer<typeof Subject>

/** Our id of a credential. It ends with the credential's number in the tenant's ledger. */
export const CredentialId = z.string().check(z.regex(/^cr_[0-9A-Za-z]{10}[0-9]{12}$/))
export const SubjectId = z.string().check(z.regex(/^su_[0-9A-Za-z]{22}$/))

/** The browser door's JSON body. The body is optional, and so is the token in it: it may be in the header. */
export const IceServersRequest = z.strictObject({
  access_token: z.exactOptional(z.string()),
  ttl: z.exactOptional(TtlSeconds),
})
export type IceServersRequest = z.infer<typeof IceServersRequest>

/** The body of Cloudflare's credential calls. Unknown fields are ignored, as Cloudflare does. */
export const GenerateRequest = z.object({ ttl: z.optional(TtlSeconds), customIdentifier: z.optional(Subject) })

/** `username` in the path of a revocation. */
export const Username = z.string().check(z.regex(/^[\x21-\x7e]{1,1024}$/))

export type IceServer = { urls: string[] } | { urls: string[]; username: string; credential: string }

/** The browser door's answer. The whole object can be passed to `new RTCPeerConnection()`. */
export type IceServersAnswer = {
  iceServers: IceServer[]
  /** Seconds left. */
  ttl: number
  /** RFC 3339. Slightly earlier than the expiry at Cloudflare. */
  expiresAt: string
  /** Seconds until the client should request new servers. */
  refreshAfter: number
  source: 'minted' | 'reused' | 'stun-only'
}

/** A live credential in a list. Its password is not shown. */
export type CredentialView = {
  id: string
  subjectId: string | null
  keyId: string
  username: string
  issuedAt: string
  expiresAt: string
  origin: string | null
}

/** Dialects of `…/turn-rest?format=`, the default first. */
export const TURN_REST_FORMATS = [
  'uberti',
  'rtc',
  'ice-servers',
  'matrix',
  'xep-0215',
  'link',
  'selkies',
  'uri',
] as const
export type TurnRestFormat = (typeof TURN_REST_FORMATS)[number]

/** draft-uberti-behave-turn-rest-00 writes it in small letters, its clients in any. */
export const TurnService = z.string().check(z.regex(/^[Tt][Uu][Rr][Nn]$/, 'must be "turn"'))

/** The body of `POST …/turn-rest`, as JSON or as a form. `service` is what draft-uberti-behave-turn-rest-00 sends. */
export const TurnRestRequest = z.strictObject({
  username: z.exactOptional(Subject),
  service: z.exactOptional(TurnService),
})
export type TurnRestRequest = z.infer<typeof TurnRestRequest>

/** The answer of draft-uberti-behave-turn-rest-00 §2.2, and of Matrix: which many media servers read. */
export type TurnRestAnswer = { username: string; password: string; ttl: number; uris: string[] }

/** The answer that Selkies reads, in the shape of Google's old service for ICE servers. */
export type SelkiesAnswer = {
  /** Seconds with the unit: `3600s`. */
  lifetimeDuration: string
  iceServers: IceServer[]
  blockStatus: 'NOT_BLOCKED'
  iceTransportPolicy: 'all'
}
