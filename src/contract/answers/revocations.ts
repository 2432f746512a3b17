/** Schemas of answers with revocations, bans and subjects. */
import * as z from 'zod/mini'
import { CredentialId, SubjectId } from '../resources/credentials.ts'
import { BanId, type BanView, RevocationId, type RevocationView, type SubjectView } from '../resources/revocations.ts'
import { ApiTokenId, TurnKeyUid } from '../values.ts'
import { answerOf, Count, pageOf, Timestamp } from './shapes.ts'

export const Revocation = answerOf<RevocationView>()(
  z.strictObject({
    id: RevocationId,
    selector: z
      .union([
        z.strictObject({ subjectId: z.nullable(SubjectId) }),
        z.strictObject({ keyId: TurnKeyUid }),
        z.strictObject({ credentialId: CredentialId }),
        z.strictObject({ all: z.literal(true) }),
      ])
      .check(
        z.describe('What was asked to be revoked. A subject is shown by its id; `null`: no such subject is known.'),
      ),
    matched: Count.check(z.describe('Live credentials that the selector matched: revoked + pending + expired.')),
    revoked: Count.check(z.describe('Credentials that Cloudflare has confirmed as revoked.')),
    pending: Count.check(z.describe('Credentials that are still being revoked at Cloudflare.')),
    expired: Count.check(z.describe('Credentials that expired before Cloudflare confirmed.')),
    state: z.enum(['running', 'done']).check(z.describe('`done`: nothing is pending.')),
    createdAt: Timestamp,
  }),
)

export const Ban = answerOf<BanView>()(
  z.strictObject({
    id: BanId,
    subjectId: z.nullable(SubjectId).check(z.describe('The banned subject. `null`: an API token is banned.')),
    tokenId: z.nullable(ApiTokenId).check(z.describe('The banned API token. `null`: a subject is banned.')),
    until: Timestamp.check(z.describe('When the ban ends by itself.')),
    createdAt: Timestamp,
    liftedAt: z.nullable(Timestamp).check(z.describe('When the ban was lifted. `null`: it was not.')),
  }),
)
export const BanPage = pageOf(Ban)

export const SubjectFound = answerOf<SubjectView>()(
  z.strictObject({ subjectId: SubjectId.check(z.describe("The broker's random id of the subject.")) }),
)
