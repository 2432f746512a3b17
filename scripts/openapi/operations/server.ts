// Native routes for a tenant's back end.
import type { Operation, Operations } from '../operation.ts'
import { CREATION, MINT } from './cloudflare.ts'

/** By GET and by POST. The first example of each content type is that of the default dialect, if there is one. */
const TURN_REST = {
  answers: {
    200: {
      description: 'A new credential, in the dialect of `format`.',
      json: ['TurnRestJson', 'turnRest', 'turnRestRtc', 'turnRestIceServers', 'turnRestSelkies'],
      text: { 'application/xml': ['turnRestXep0215'], 'text/plain': ['turnRestLink', 'turnRestUri'] },
    },
  },
  errors: ['no_turn_key', 'origin_not_allowed', ...MINT.filter((code) => code !== 'ttl_too_long')],
} as const satisfies Partial<Operation>

export const SERVER: Operations<
  | 'tenantSelf'
  | 'clientTokenCreate'
  | 'turnRestCreate'
  | 'turnRest'
  | 'credentialList'
  | 'subjectSearch'
  | 'subjectErase'
  | 'revocationCreate'
  | 'revocationGet'
  | 'banList'
  | 'banCreate'
  | 'banLift'
  | 'turnKeyRotate'
  | 'auditList'
> = {
  tenantSelf: {
    tag: 'Tenants',
    summary: 'Get the tenant of the API token',
    description: 'Policy, counts, and the usage of the last seven days with activity.',
    answers: { 200: { description: 'The tenant.', headers: ['ETag'], json: ['Tenant', 'tenant'] } },
  },
  clientTokenCreate: {
    tag: 'Client tokens',
    summary: 'Create a client token for a page',
    description:
      'A short-lived token for one user. The page exchanges it at the browser door for ICE servers. Nothing is stored: a client token ends by itself, or when the API token that made it is deleted.',
    body: {
      presence: 'required',
      description: 'For whom, and with which bounds.',
      content: { 'application/json': ['ClientTokenCreate', 'clientTokenCreate'] },
    },
    answers: { 201: { description: 'The token.', json: ['ClientToken', 'clientToken'] } },
    errors: ['ttl_too_long', 'conflict', 'tenant_suspended'],
  },
  turnRestCreate: {
    tag: 'Credentials',
    summary: 'Issue a credential in the dialect of a media server or client',
    description:
      'For back ends and media servers, in one of eight dialects. The name of the user is in the body; the URL may only repeat it. The API token is the bearer, or the password of `Authorization: Basic` with any user name. Query parameters that are not listed are ignored, also `key` and `api`. Every request mints a new credential and may be repeated.',
    body: {
      presence: 'optional',
      description: 'JSON, a form, or nothing. Without `username` the credential counts for no user.',
      content: {
        'application/json': ['TurnRestRequest', 'turnRestRequest'],
        'application/x-www-form-urlencoded': ['TurnRestForm', 'turnRestRequest'],
      },
    },
    ...TURN_REST,
  },
  turnRest: {
    tag: 'Credentials',
    summary: 'Issue a credential in the dialect of a media server or client, by GET',
    description:
      'For clients that know no other way. The URL holds the name of the user, and proxies and logs may keep it: use the POST where you can. Otherwise as the POST. HEAD is refused, because it would mint.',
    ...TURN_REST,
  },
  credentialList: {
    tag: 'Credentials',
    summary: 'List live credentials',
    description:
      'Newest first, without passwords. One call looks at 2,000 rows at most: a page may have few items, or none, and a `nextCursor`. The list ends where `nextCursor` is null.',
    answers: { 200: { description: 'A page of credentials.', json: ['CredentialPage', 'credentialPage'] } },
  },
  subjectSearch: {
    tag: 'Revocations',
    summary: 'Find the id of a subject',
    description: 'A POST, so that the name of a user is in no URL.',
    body: {
      presence: 'required',
      description: 'The name of the subject.',
      content: { 'application/json': ['SubjectSearch', 'subjectSearch'] },
    },
    answers: { 200: { description: 'The id.', json: ['SubjectFound', 'subject'] } },
  },
  subjectErase: {
    tag: 'Revocations',
    summary: 'Erase a subject',
    description: 'Revokes its credentials and forgets its name. Bans of it end: the same name is then a new subject.',
    answers: { 204: { description: 'The name is erased. Its credentials are revoked in the background.' } },
  },
  revocationCreate: {
    tag: 'Revocations',
    summary: 'Revoke live credentials',
    description:
      'Of a subject, of a TURN key, of one id, or all. Takes effect at once for new requests; the broker revokes at Cloudflare in the background. With `banUntil` the subject is banned too. A tenant has at most 200,000 revocations, of which the oldest that are done make room.',
    headers: ['Idempotency-Key'],
    body: {
      presence: 'required',
      description: 'Exactly one of `subject`, `keyId`, `credentialId`, `all`.',
      content: { 'application/json': ['RevocationCreate', 'revocationCreate'] },
    },
    answers: { 202: { description: 'The revocation, under way.', json: ['Revocation', 'revocation'] } },
    errors: ['conflict'],
  },
  revocationGet: {
    tag: 'Revocations',
    summary: 'Get the progress of a revocation',
    description: 'Can be read for 30 days; of a tenant with more than 100,000 revocations, the newest.',
    answers: { 200: { description: 'The revocation.', json: ['Revocation', 'revocation'] } },
  },
  banList: {
    tag: 'Revocations',
    summary: 'List bans',
    description: 'Newest first, with those that ended in the last 30 days, the latest 100,000 of them.',
    answers: { 200: { description: 'A page of bans.', json: ['BanPage', 'banPage'] } },
  },
  banCreate: {
    tag: 'Revocations',
    summary: 'Ban a subject or an API token',
    description:
      'A banned subject gets no credential. A banned API token is refused on every route, and so are the client tokens made with it. Live credentials stay valid until they are revoked. A tenant has at most 100,000 bans in force; those lifted or past their end do not count.',
    body: {
      presence: 'required',
      description: 'Exactly one of `subject`, `tokenId`, and until when.',
      content: { 'application/json': ['BanCreate', 'banCreate'] },
    },
    answers: { 201: { description: 'The ban.', json: ['Ban', 'ban'] } },
    errors: ['conflict'],
  },
  banLift: {
    tag: 'Revocations',
    summary: 'Lift a ban',
    description: 'Ends the ban at once. A banned API token cannot lift its own ban. May be repeated.',
    answers: { 200: { description: 'The ban, lifted.', json: ['Ban', 'banLifted'] } },
  },
  turnKeyRotate: {
    tag: 'TURN keys',
    summary: 'Replace a TURN key by a new one',
    description:
      'The new key mints once before it takes over, so mints never pause. The old key is deleted when its last credential has expired. With `revoke` its credentials end at once.',
    headers: ['Idempotency-Key', 'X-Stainless-Retry-Count'],
    body: {
      presence: 'required',
      description: 'Whether to revoke what the old key minted.',
      content: { 'application/json': ['TurnKeyRotate', 'turnKeyRotate'] },
    },
    answers: { 201: { description: 'The new key, and what becomes of the old one.', json: ['Rotation', 'rotation'] } },
    errors: CREATION,
  },
  auditList: {
    tag: 'Audit',
    summary: "Read the tenant's audit trail",
    description:
      'Newest first. Filters compare exactly and can be combined. With a filter one call looks at 2,000 rows at most: a page may have few items, or none, and a `nextCursor`. The list ends where `nextCursor` is null.',
    answers: { 200: { description: 'A page of events.', json: ['AuditEventPage', 'auditPage'] } },
  },
}
