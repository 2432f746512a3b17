/** Credentials as callers ask for and get them, at every door that hands some out. */
import * as z from 'zod'
import { TtlSeconds } from '../values.ts'

const MAX_SUBJECT_CHARACTERS = 128

/** The end user a credential is for, as the tenant names it: 1-128 well-formed code points, no controls; compared as is. */
export const Subject = z
  .string()
  .min(1)
  .refine(
    (text) => text.length <= 2 * MAX_SUBJECT_CHARACTERS && [...text].length <= MAX_SUBJECT_CHARACTERS,
    'must have at most 128 characters',
  )
  .refine((text) => text.isWellFormed() && !/\p{Cc}/u.test(text), 'must not contain control characters')
export type Subject = z.infer<typeof Subject>

/** Our id of a credential. */
export const CredentialId = z.string().regex(/^cr_[0-9A-Za-z]{22}$/)
export const SubjectId = z.string().regex(/^su_[0-9A-Za-z]{22}$/)

/** The browser door's JSON body; all of it may be left out. */
export const IceServersRequest = z.strictObject({ ttl: TtlSeconds.exactOptional() })
export type IceServersRequest = z.infer<typeof IceServersRequest>

/** The body of Cloudflare's own credential calls; unknown fields are ignored there. */
export const GenerateRequest = z.object({ ttl: TtlSeconds.optional(), customIdentifier: Subject.optional() })

/** As `username` stands in the path of a revocation. */
export const Username = z.string().regex(/^[\x21-\x7e]{1,1024}$/)

export type IceServer = { urls: string[] } | { urls: string[]; username: string; credential: string }

/** The browser door's answer; the whole object can be handed to `new RTCPeerConnection()`. */
export type IceServersAnswer = {
  iceServers: IceServer[]
  /** Seconds left. */
  ttl: number
  /** RFC 3339; before Cloudflare's own end. */
  expiresAt: string
  /** Seconds until the client should ask again. */
  refreshAfter: number
  source: 'minted' | 'reused' | 'stun-only'
}

/** A live credential in a list; its password is shown nowhere but in the answer it was minted for. */
export type CredentialView = {
  id: string
  subjectId: string | null
  keyId: string
  username: string
  issuedAt: string
  expiresAt: string
  origin: string | null
}

/** draft-uberti-behave-turn-rest-00 §2.2, for servers that ask for TURN credentials in that dialect. */
export type TurnRestAnswer = { username: string; password: string; ttl: number; uris: string[] }
