/** Revocations, bans and subjects: taking back what was handed out. */
import * as z from 'zod'
import { ApiTokenId, Instant, TurnKeyUid } from '../values.ts'
import { CredentialId, Subject } from './credentials.ts'

/** A finished revocation and an ended ban can be read for this long. */
export const REVOCATION_KEPT_DAYS = 30

const selector = {
  subject: Subject.exactOptional(),
  keyId: TurnKeyUid.exactOptional(),
  credentialId: CredentialId.exactOptional(),
  all: z.literal(true).exactOptional(),
}
const exactlyOne = (given: object, names: readonly string[]) => names.filter((name) => name in given).length === 1

export const RevocationCreate = z
  .strictObject({ ...selector, banUntil: Instant.exactOptional() })
  .refine((it) => exactlyOne(it, Object.keys(selector)), 'must have exactly one of subject, keyId, credentialId, all')
  .refine((it) => it.banUntil === undefined || it.subject !== undefined, {
    path: ['banUntil'],
    message: 'goes with subject only',
  })
export type RevocationCreate = z.infer<typeof RevocationCreate>

export const RevocationId = z.string().regex(/^rv_[0-9A-Za-z]{22}$/)

export type RevocationView = {
  id: string
  /** What was chosen; a subject by its opaque id. */
  selector: { subjectId: string | null } | { keyId: string } | { credentialId: string } | { all: true }
  /** How many live credentials it met, and what became of them: matched = revoked + pending + expired. */
  matched: number
  revoked: number
  pending: number
  expired: number
  state: 'running' | 'done'
  createdAt: string
}

export const BanCreate = z
  .strictObject({ subject: Subject.exactOptional(), tokenId: ApiTokenId.exactOptional(), until: Instant })
  .refine((it) => exactlyOne(it, ['subject', 'tokenId']), 'must have exactly one of subject, tokenId')
export type BanCreate = z.infer<typeof BanCreate>

export const BanId = z.string().regex(/^bn_[0-9A-Za-z]{22}$/)

export type BanView = {
  id: string
  subjectId: string | null
  tokenId: string | null
  until: string
  createdAt: string
  liftedAt: string | null
}

export const SubjectSearch = z.strictObject({ subject: Subject })
export type SubjectView = { subjectId: string }
