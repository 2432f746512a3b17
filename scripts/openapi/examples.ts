// Examples of bodies. A test validates each against its schema.
import { DEFAULT_POLICY } from '../../src/contract/policy/policy.ts'

export const IDS = {
  tenant: 'acme',
  key: '0a1b2c3d4e5f60718293a4b5c6d7e8f9',
  newKey: 'f9e8d7c6b5a493827160f5e4d3c2b1a0',
  token: 'a1B2c3D4e5F6',
  username: 'bc91b63e2b5d759f8eb9f3b58062439e0a0e15893d76317d833265ad08d6631099ce',
  subject: 'su_0123456789abcdefABCDEF',
  credential: 'cr_0123456789000000000042',
  revocation: 'rv_0123456789abcdefABCDEF',
  ban: 'bn_0123456789abcdefABCDEF',
  request: '3f0c9f52-3c6f-4b0e-9a53-8f6f1d2a7b10',
} as const

const CREATED = '2026-03-01T09:00:00.000Z'
const NOW = '2026-03-02T10:15:00.000Z'
const LATER = '2026-03-02T11:15:00.000Z'

const key = { uid: IDS.key, name: 'production', created: '2026-03-01T09:00:00Z', modified: '2026-03-01T09:00:00Z' }
const turnKeyView = { ...key, state: 'active' }
const newKey = { ...turnKeyView, uid: IDS.newKey }
const enveloped = (result: unknown) => ({ success: true, errors: [], messages: [], result })

const stun = { urls: ['stun:stun.cloudflare.com:3478'] }
const credential = { username: IDS.username, credential: 'example-password-never-valid' }
const turnUrls = ['turn:turn.cloudflare.com:3478?transport=udp', 'turns:turn.cloudflare.com:5349?transport=tcp']

const tenant = {
  id: IDS.tenant,
  name: 'Acme',
  region: 'weur',
  status: 'active',
  version: 3,
  policy: { ...DEFAULT_POLICY, allowedOrigins: ['https://app.example.com'] },
  counts: { turnKeys: 1, apiTokens: 2, liveCredentials: 17 },
  usage: [{ day: '2026-03-02', issued: 120, reused: 40, revoked: 1, expired: 90 }],
  createdAt: CREATED,
  modifiedAt: NOW,
}
const apiToken = {
  id: IDS.token,
  name: 'back end',
  scopes: ['client_tokens:create', 'credentials:revoke'],
  expiresAt: null,
  createdAt: CREATED,
  rolledAt: null,
  previousValidUntil: null,
}
const ban = {
  id: IDS.ban,
  subjectId: IDS.subject,
  tokenId: null,
  until: LATER,
  createdAt: NOW,
  liftedAt: null,
}
const rootKey = { id: 'k1', current: true, configured: true, tenants: 1, tokenCheck: true, clientTokensUntil: null }
const noFindings = { foreign: 0, 'other-deployment': 0, unclaimed: 0, lost: 0, orphan: 0, missing: 0 }
const sweep = {
  state: 'done',
  begunAt: NOW,
  endedAt: NOW,
  nextAt: LATER,
  tenants: { asked: 1, failed: 0 },
  counts: { ...noFindings, foreign: 1 },
  findings: [{ uid: IDS.newKey, class: 'foreign', tenant: null, since: CREATED }],
}
const pageOf = (item: unknown) => ({ items: [item], nextCursor: null })

export const EXAMPLES = {
  health: { ok: true },
  ready: { ready: true },
  notReady: { ready: false },

  iceServersForm: { access_token: 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl', ttl: 600 },
  iceServersRequest: { access_token: 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl', ttl: 600 },
  iceServers: {
    iceServers: [stun, { urls: turnUrls, ...credential }],
    ttl: 600,
    expiresAt: LATER,
    refreshAfter: 300,
    source: 'minted',
  },

  turnKeyWrite: { name: 'production' },
  turnKeyView,
  turnKey: enveloped(turnKeyView),
  turnKeyList: enveloped([turnKeyView]),
  turnKeyCreated: enveloped({ ...turnKeyView, key: `example-secret-never-valid-${'0'.repeat(37)}` }),
  turnKeyDeleted: enveloped(key),
  turnKeyRotate: { revoke: false },
  rotation: { key: newKey, replaced: { uid: IDS.key, state: 'retiring', retiresAt: LATER } },
  turnKeyImport: { uid: IDS.key, key: `example-secret-never-valid-${'0'.repeat(37)}` },

  generateRequest: { ttl: 3_600, customIdentifier: 'alice' },
  generatedIceServers: { iceServers: [stun, { urls: turnUrls, ...credential }] },
  generatedCredential: { iceServers: { urls: [...stun.urls, ...turnUrls], ...credential } },
  turnRestRequest: { username: 'alice' },
  turnRest: { username: credential.username, password: credential.credential, ttl: 3_600, uris: turnUrls },
  turnRestRtc: { iceServers: [stun, { urls: turnUrls, ...credential }] },
  turnRestIceServers: [stun, { urls: turnUrls, ...credential }],
  turnRestSelkies: {
    lifetimeDuration: '3600s',
    iceServers: [stun, { urls: turnUrls, ...credential }],
    blockStatus: 'NOT_BLOCKED',
    iceTransportPolicy: 'all',
  },
  turnRestXep0215: `<services xmlns="urn:xmpp:extdisco:2"><service type="turn" host="turn.cloudflare.com" port="3478" transport="udp" username="${IDS.username}" password="${credential.credential}" expires="${LATER}"/></services>`,
  turnRestLink: `Link: <${turnUrls[0]}>; rel="ice-server"; username="${IDS.username}"; credential="${credential.credential}"; credential-type="password"\n`,
  turnRestUri: `turn://${IDS.username}:${credential.credential}@turn.cloudflare.com:3478?transport=udp\n`,
  credentialPage: pageOf({
    id: IDS.credential,
    subjectId: IDS.subject,
    keyId: IDS.key,
    username: IDS.username,
    issuedAt: NOW,
    expiresAt: LATER,
    origin: 'https://app.example.com',
  }),

  clientTokenCreate: { subject: 'alice', ttl: 600, origin: 'https://app.example.com' },
  clientToken: { token: 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl', expiresAt: LATER },

  subjectSearch: { subject: 'alice' },
  subject: { subjectId: IDS.subject },
  revocationCreate: { subject: 'alice', banUntil: LATER },
  revocation: {
    id: IDS.revocation,
    selector: { subjectId: IDS.subject },
    matched: 2,
    revoked: 1,
    pending: 1,
    expired: 0,
    state: 'running',
    createdAt: NOW,
  },
  banCreate: { subject: 'alice', until: LATER },
  ban,
  banLifted: { ...ban, liftedAt: LATER },
  banPage: pageOf(ban),

  tenant,
  tenantPage: pageOf({ id: IDS.tenant, name: 'Acme', region: 'weur', status: 'active', createdAt: CREATED }),
  tenantCreate: {
    id: IDS.tenant,
    name: 'Acme',
    region: 'weur',
    policy: { allowedOrigins: ['https://app.example.com'] },
  },
  tenantPatch: { status: 'suspended', policy: { maxTtl: 7_200, defaultTtl: null } },
  tenantRestore: { at: CREATED },
  tenantRestored: { tenant: { ...tenant, status: 'suspended' }, undo: '0000007b-0000b26e-00001538-0c3e87bb' },
  issuerCheck: {
    token: 'eyJhbGciOiJFUzI1NiIsImtpZCI6ImsxIn0.eyJpc3MiOiJodHRwczovL2xvZ2luLmV4YW1wbGUuY29tLyJ9.c2lnbmF0dXJl',
  },
  issuerCheckResult: {
    accepted: false,
    subject: null,
    checked: {
      entry: 0,
      rules: [
        { rule: 'issuer', passes: true, reason: null, seen: '"https://login.example.com/"' },
        { rule: 'recipient', passes: false, reason: 'audience_foreign', seen: '{"aud":"account"}' },
      ],
      keySetProblem: null,
    },
    others: [],
  },
  tenantDeletion: { id: IDS.tenant, status: 'deleting' },

  apiTokenCreate: { name: 'back end', scopes: ['client_tokens:create', 'credentials:revoke'] },
  apiTokenRoll: { overlapSeconds: 3_600 },
  apiTokenSecret: { ...apiToken, token: `tb_${IDS.tenant}_${IDS.token}_${'0'.repeat(60)}` },
  apiTokenPage: pageOf(apiToken),

  auditPage: pageOf({
    seq: 41,
    at: NOW,
    actor: `api-token:${IDS.token}`,
    action: 'client_token.create',
    target: null,
    subjectId: null,
    outcome: 'done',
    code: null,
    count: 1,
    requestId: IDS.request,
    origin: 'https://app.example.com',
    digest: null,
  }),

  account: {
    budget: {
      tenants: { limit: 600, spent: 12 },
      recovery: { limit: 120, spent: 0 },
      operators: { limit: 120, spent: 1 },
      upstreamRemaining: null,
      blockedUntil: null,
    },
    turnKeys: { count: 2, limit: 1_000, listedAt: NOW },
    sweep,
    rootKeys: [rootKey],
  },
  sweepOrdered: { ...sweep, state: 'ordered' },
  reseal: {
    state: 'running',
    to: 'k1',
    orderedAt: NOW,
    tenants: 1,
    done: 0,
    moved: 12,
    unreadable: 0,
    left: 5,
    rootKeys: [rootKey],
  },
  tokenCheck: { keys: [{ number: 1, state: 'current', signsFrom: CREATED, rootKey: 'k1' }] },
} as const
