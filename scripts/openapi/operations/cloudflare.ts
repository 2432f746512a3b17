// Routes on Cloudflare's own paths, with Cloudflare's bodies and envelopes.
import type { ErrorCode } from '../../../src/errors.ts'
import type { Body, Operations } from '../operation.ts'

/** A call to Cloudflare's API that may fail in each of these ways. */
export const UPSTREAM: readonly ErrorCode[] = ['upstream_failed', 'upstream_unavailable', 'upstream_timeout']
/** A creation at Cloudflare. Without a clear answer it is in doubt: `outcome_unknown`. */
export const CREATION: readonly ErrorCode[] = [
  'tenant_suspended',
  'turn_key_limit',
  'conflict',
  'idempotency_in_progress',
  'upstream_failed',
  'upstream_unavailable',
]
/** Why no credential is minted. */
export const MINT: readonly ErrorCode[] = [
  'ttl_too_long',
  'conflict',
  'tenant_suspended',
  'subject_banned',
  'subject_limit',
  'tenant_limit',
  ...UPSTREAM,
]

const NAME: Body = {
  presence: 'optional',
  description: 'The name of the key. JSON, whatever its `Content-Type` says. Unknown fields are ignored.',
  content: { 'application/json': ['TurnKeyWrite', 'turnKeyWrite'] },
}
const GENERATE: Body = {
  presence: 'optional',
  description: 'For how long, and for whom. JSON, whatever its `Content-Type` says. Unknown fields are ignored.',
  content: { 'application/json': ['GenerateRequest', 'generateRequest'] },
}

export const CLOUDFLARE: Operations<
  | 'turnKeyList'
  | 'turnKeyCreate'
  | 'turnKeyGet'
  | 'turnKeyUpdate'
  | 'turnKeyDelete'
  | 'credentialGenerateIceServers'
  | 'credentialGenerate'
  | 'credentialRevoke'
> = {
  turnKeyList: {
    tag: 'TURN keys',
    summary: "List the tenant's TURN keys",
    description: "All keys in one answer, as at Cloudflare. Other tenants' keys are not in it.",
    answers: { 200: { description: 'The keys.', json: ['TurnKeyListEnvelope', 'turnKeyList'] } },
  },
  turnKeyCreate: {
    tag: 'TURN keys',
    summary: 'Create a TURN key',
    description:
      'The secret is in the answer only for an API token with the scope `turn_keys:reveal`: the broker stores it encrypted and mints with it. With an `Idempotency-Key` a repeat within 24 hours creates nothing and gets the same key. Without one, automatic retries of Cloudflare’s SDK are recognized.',
    headers: ['Idempotency-Key', 'X-Stainless-Retry-Count'],
    body: NAME,
    answers: { 201: { description: 'The new key.', json: ['TurnKeyWithSecretEnvelope', 'turnKeyCreated'] } },
    errors: CREATION,
  },
  turnKeyGet: {
    tag: 'TURN keys',
    summary: 'Get one TURN key',
    description:
      'Never with its secret. `Cache-Status` says where the answer comes from: a cache for up to 60 seconds, the tenant’s own record, or Cloudflare.',
    answers: {
      200: { description: 'The key.', headers: ['Cache-Status'], json: ['TurnKeyEnvelope', 'turnKey'] },
    },
  },
  turnKeyUpdate: {
    tag: 'TURN keys',
    summary: 'Rename a TURN key',
    description:
      'Without `name` nothing changes. A rename that Cloudflare did not confirm is carried on by the broker.',
    body: NAME,
    answers: { 200: { description: 'The key with its new name.', json: ['TurnKeyEnvelope', 'turnKey'] } },
    errors: UPSTREAM,
  },
  turnKeyDelete: {
    tag: 'TURN keys',
    summary: 'Delete a TURN key',
    description:
      'What the key minted is revoked first. A removal that Cloudflare did not confirm is carried on by the broker.',
    answers: { 200: { description: 'The key as it was.', json: ['DeletedKeyEnvelope', 'turnKeyDeleted'] } },
    errors: UPSTREAM,
  },
  credentialGenerateIceServers: {
    tag: 'Credentials',
    summary: 'Issue a credential, as an array of ICE servers',
    description:
      'Cloudflare’s `generate-ice-servers`. The API token takes the place of the key’s secret. Every request mints a new credential and may be repeated.',
    body: GENERATE,
    answers: {
      201: { description: 'ICE servers with a new credential.', json: ['GeneratedIceServers', 'generatedIceServers'] },
    },
    errors: MINT,
  },
  credentialGenerate: {
    tag: 'Credentials',
    summary: 'Issue a credential, as one object',
    description:
      'Cloudflare’s older `generate`. The API token takes the place of the key’s secret. Every request mints a new credential and may be repeated.',
    body: GENERATE,
    answers: {
      201: { description: 'A new credential.', json: ['GeneratedCredential', 'generatedCredential'] },
    },
    errors: MINT,
  },
  credentialRevoke: {
    tag: 'Credentials',
    summary: 'Revoke one credential by its username',
    description:
      'Answers when Cloudflare has confirmed. A revocation that Cloudflare did not confirm is carried on by the broker. May be repeated.',
    answers: { 204: { description: 'The credential is revoked.' } },
    errors: UPSTREAM,
  },
}
