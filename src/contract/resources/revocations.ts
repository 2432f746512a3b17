/** Schema of revocations, bans and subjects. */
import * as z from 'zod/mini'
import { ApiTokenId, Instant, TurnKeyUid } from '../values.ts'
import { CredentialId, Subject } from './credentials.ts'

/** How long a finished revocation and an ended ban can be read. */
export const REVOCATION_KEPT_DAYS = 30

/** Bans in force of one tenant: neither lifted nor past their end. */
export const MAX_OPEN_BANS = 100_000
/** Revocations of one tenant, running ones included. From half of that the oldest that is done makes room. */
export const MAX_REVOCATIONS = 200_000

const selector = {
  subject: z.exactOptional(Subject),
  keyId: z.exactOptional(TurnKeyUid),
  credentialId: z.exactOptional(CredentialId),
  all: z.exactOptional(z.literal(true)),
}
const exactlyOne = (given: object, names: readonly string[]) => names.filter((name) => name in given).length === 1

export const RevocationCreate = z.strictObject({ ...selector, banUntil: z.exactOptional(Instant) }).check(
  z.refine(
    (given) => exactlyOne(given, Object.keys(selector)),
    'must have exactly one of subject, keyId, credentialId, all',
  ),
  z.refine(({ banUntil, subject }) => banUntil === undefined || subject !== undefined, {
    path: ['banUntil'],
    message: 'must be sent together with subject',
  }),
)
export type RevocationCreate = z.infer<typeof RevocationCreate>

export const RevocationId = z.string().check(z.regex(/^rv_[0-9A-Za-z]{22}$/))

export type RevocationView = {
  id: string
  /** The selector of the request. A subject is shown by its id. */
  selector: { subjectId: string | null } | { keyId: string } | { credentialId: string } | { all: true }
  /** Live credentials that the selector matched; matched = revoked + pending + expired. */
  matched: number
  revoked: number
  pending: number
  expired: number
  state: 'running' | 'done'
  createdAt: string
}

export const BanCreate = z
  .strictObject({ subject: z.exactOptional(Subject), tokenId: z.exactOptional(ApiTokenId), until: Instant })
  .check(z.refine((given) => exactlyOne(given, ['subject', 'tokenId']), 'must have exactly one of subject, tokenId'))
export type BanCreate = z.infer<typeof BanCreate>

export const BanId = z.string().check(z.regex(/^bn_[0-9A-Za-z]{22}$/))

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
