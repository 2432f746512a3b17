// Routes for the operators, who hold the admin token or pass Cloudflare Access.
import type { Operations } from '../operation.ts'
import { UPSTREAM } from './cloudflare.ts'

export const ADMIN: Operations<
  | 'tenantList'
  | 'tenantCreate'
  | 'tenantGet'
  | 'tenantPatch'
  | 'tenantRestore'
  | 'tenantDelete'
  | 'issuerCheck'
  | 'apiTokenList'
  | 'apiTokenCreate'
  | 'apiTokenDelete'
  | 'turnKeyImport'
  | 'apiTokenRoll'
  | 'accountGet'
  | 'accountSweep'
  | 'accountAuditList'
  | 'resealOrder'
  | 'resealProgress'
  | 'tokenCheckReplace'
  | 'tokenCheckGet'
> = {
  tenantList: {
    tag: 'Tenants',
    summary: 'List tenants',
    description: 'Newest first.',
    answers: { 200: { description: 'A page of tenants.', json: ['TenantPage', 'tenantPage'] } },
  },
  tenantCreate: {
    tag: 'Tenants',
    summary: 'Create a tenant',
    description: 'The id is never reused, also after the tenant is deleted. The region is fixed.',
    headers: ['Idempotency-Key'],
    body: {
      presence: 'required',
      description: 'The tenant, with the settings of its policy that differ from the defaults.',
      content: { 'application/json': ['TenantCreate', 'tenantCreate'] },
    },
    answers: { 201: { description: 'The tenant.', headers: ['ETag'], json: ['Tenant', 'tenant'] } },
    errors: ['conflict', 'idempotency_in_progress', 'discovery_failed'],
  },
  tenantGet: {
    tag: 'Tenants',
    summary: 'Get a tenant',
    description: 'Policy, counts, and the usage of the last seven days with activity.',
    answers: { 200: { description: 'The tenant.', headers: ['ETag'], json: ['Tenant', 'tenant'] } },
  },
  tenantPatch: {
    tag: 'Tenants',
    summary: 'Change a tenant',
    description:
      'A merge patch (RFC 7396): what is absent stays, arrays are replaced, `null` in the policy restores the default. With `If-Match` the change is made only if the version is still that one.',
    headers: ['If-Match'],
    body: {
      presence: 'required',
      description: 'What to change.',
      content: {
        'application/json': ['TenantPatch', 'tenantPatch'],
      },
    },
    answers: { 200: { description: 'The tenant, changed.', headers: ['ETag'], json: ['Tenant', 'tenant'] } },
    errors: ['conflict', 'version_mismatch', 'discovery_failed'],
  },
  tenantRestore: {
    tag: 'Tenants',
    summary: 'Restore a tenant to an earlier time',
    description:
      'The tenant comes back suspended. Without `at`: sets the tenant up again after its storage was lost. docs/runbooks.md says what to look at afterwards.',
    body: {
      presence: 'required',
      description: 'To which time; `{}` after a loss.',
      content: { 'application/json': ['TenantRestore', 'tenantRestore'] },
    },
    answers: { 200: { description: 'The tenant, restored.', json: ['TenantRestored', 'tenantRestored'] } },
    errors: ['conflict'],
  },
  tenantDelete: {
    tag: 'Tenants',
    summary: 'Delete a tenant',
    description:
      'Everything of the tenant ends at once; its TURN keys are deleted at Cloudflare in the background. With TURN keys only as `cascade=true`.',
    answers: { 202: { description: 'The deletion is under way.', json: ['TenantDeletion', 'tenantDeletion'] } },
    errors: ['tenant_has_keys'],
  },
  issuerCheck: {
    tag: 'Tenants',
    summary: 'Check a token of an identity provider',
    description:
      'Says of every rule whether the token meets it, and what the token has there. Issues nothing, checks no origin, and works for a suspended tenant too. The audit trail says that a token was checked, and nothing of it.',
    body: {
      presence: 'required',
      description: 'The token, as a page would send it.',
      content: { 'application/json': ['IssuerCheck', 'issuerCheck'] },
    },
    answers: {
      200: {
        description: 'The result, also of a token that is refused.',
        json: ['IssuerCheckResult', 'issuerCheckResult'],
      },
    },
    errors: ['conflict'],
  },
  apiTokenList: {
    tag: 'API tokens',
    summary: "List a tenant's API tokens",
    description: 'Newest first, without the tokens themselves.',
    answers: { 200: { description: 'A page of API tokens.', json: ['ApiTokenPage', 'apiTokenPage'] } },
  },
  apiTokenCreate: {
    tag: 'API tokens',
    summary: 'Create an API token',
    description:
      'The token is in this answer and never again. A tenant has at most 50. With the scope `turn_keys:reveal` it needs the role `owner`.',
    headers: ['Idempotency-Key'],
    body: {
      presence: 'required',
      description: 'Name, scopes and expiry.',
      content: { 'application/json': ['ApiTokenCreate', 'apiTokenCreate'] },
    },
    answers: { 201: { description: 'The token.', json: ['ApiTokenSecret', 'apiTokenSecret'] } },
    errors: ['conflict', 'secret_not_repeatable'],
  },
  apiTokenDelete: {
    tag: 'API tokens',
    summary: 'Delete an API token',
    description: 'The token, and client tokens made with it, end at once. Cached reads end within 60 seconds.',
    answers: { 204: { description: 'The token is deleted.' } },
  },
  turnKeyImport: {
    tag: 'TURN keys',
    summary: 'Import a TURN key of the account',
    description:
      'A key that belongs to no tenant, or a new secret for a key of this tenant. The secret is proven by a mint before anything is stored. May be repeated.',
    headers: ['Idempotency-Key'],
    body: {
      presence: 'required',
      description: 'The key and its secret.',
      content: { 'application/json': ['TurnKeyImport', 'turnKeyImport'] },
    },
    answers: { 201: { description: 'The key.', json: ['TurnKey', 'turnKeyView'] } },
    errors: ['tenant_suspended', 'turn_key_limit', 'conflict', 'idempotency_in_progress', ...UPSTREAM],
  },
  apiTokenRoll: {
    tag: 'API tokens',
    summary: 'Give an API token a new secret',
    description:
      'The old secret stays valid for `overlapSeconds`. Id, name, scopes and expiry stay. A token with the scope `turn_keys:reveal` needs the role `owner`.',
    body: {
      presence: 'required',
      description: 'How long the old secret stays valid.',
      content: { 'application/json': ['ApiTokenRoll', 'apiTokenRoll'] },
    },
    answers: { 200: { description: 'The token with its new secret.', json: ['ApiTokenSecret', 'apiTokenSecret'] } },
    errors: ['conflict'],
  },
  accountGet: {
    tag: 'Account',
    summary: 'Describe the Cloudflare account',
    description: 'Budget of API calls, number of TURN keys, findings of the last sweep, root keys in use.',
    answers: { 200: { description: 'The account.', json: ['Account', 'account'] } },
  },
  accountSweep: {
    tag: 'Account',
    summary: 'Look at every TURN key of the account now',
    description: 'Otherwise the sweep comes by itself within the hour. May be repeated.',
    answers: { 202: { description: 'The sweep is ordered.', json: ['Sweep', 'sweepOrdered'] } },
  },
  accountAuditList: {
    tag: 'Audit',
    summary: "Read the account's audit trail",
    description:
      'Tenants created and deleted, sweeps, reseals and replaced check keys. Newest first. With a filter one call looks at 2,000 rows at most: a page may have few items, or none, and a `nextCursor`. The list ends where `nextCursor` is null.',
    answers: { 200: { description: 'A page of events.', json: ['AuditEventPage', 'auditPage'] } },
  },
  resealOrder: {
    tag: 'Account',
    summary: 'Move every secret to the current root key',
    description: 'After a new root key was put in front of `ROOT_KEYS`. Ordered again, it goes on, or begins again.',
    answers: { 202: { description: 'The reseal is ordered.', json: ['Reseal', 'reseal'] } },
    errors: ['conflict'],
  },
  resealProgress: {
    tag: 'Account',
    summary: 'Get the progress of the reseal',
    description: 'And which root keys are still needed.',
    answers: { 200: { description: 'The progress.', json: ['Reseal', 'reseal'] } },
  },
  tokenCheckReplace: {
    tag: 'Account',
    summary: 'Replace the check key of API tokens',
    description:
      'New API tokens are made with the new key 90 seconds later. Older tokens stay valid, at a small rate of requests, until they are rolled. Repeated within the 90 seconds it changes nothing. Eight keys are kept: tokens made with an earlier one are refused.',
    answers: { 202: { description: 'The check keys.', json: ['TokenCheck', 'tokenCheck'] } },
  },
  tokenCheckGet: {
    tag: 'Account',
    summary: 'Get the check keys of API tokens',
    description: 'When each is used, and which root key seals it. Never the key itself.',
    answers: { 200: { description: 'The check keys.', json: ['TokenCheck', 'tokenCheck'] } },
  },
}
