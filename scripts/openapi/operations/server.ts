// Native routes for a tenant's back end.
import type { Operations } from '../operation.ts'
import { CREATION, MINT } from './cloudflare.ts'

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
    summary: 'Issue a credential, in the form of the TURN REST API',
    description:
      'The form of draft-uberti-behave-turn-rest-00, which many media servers read, with the user in the body. The URL may repeat the fields of the body, as Janus does, but logs may keep it. The API token goes into the header: `key` or `api` is refused. Every request mints a new credential and may be repeated.',
    body: {
      presence: 'required',
      description: 'JSON or a form. Without `username` the credential counts for no user.',
      content: {
        'application/json': ['TurnRestRequest', 'turnRestRequest'],
        'application/x-www-form-urlencoded': ['TurnRestRequest', 'turnRestRequest'],
      },
    },
    answers: { 200: { description: 'A new credential.', json: ['TurnRestCredential', 'turnRest'] } },
    errors: ['no_turn_key', ...MINT.filter((code) => code !== 'ttl_too_long')],
  },
  turnRest: {
    tag: 'Credentials',
    summary: 'Issue a credential, in the form of the TURN REST API, by GET',
    description:
      'For media servers that know no other way. The URL holds the name of the user, and proxies and logs may keep it: use the POST where you can. The API token goes into the header: `key` or `api` in the URL is refused. Every request mints a new credential and may be repeated.',
    answers: { 200: { description: 'A new credential.', json: ['TurnRestCredential', 'turnRest'] } },
    errors: ['no_turn_key', ...MINT.filter((code) => code !== 'ttl_too_long')],
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
