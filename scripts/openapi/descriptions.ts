// Words for the fields of the document. Answers carry theirs beside their schema; requests are part of the Worker, so their
// words stand here and not in its bundle. A field without words makes the build fail.
import type { JsonSchema } from './refinements.ts'

/** Fields that mean the same wherever they stand. `Component.field` goes before `field`. */
const FIELDS: Readonly<Record<string, string>> = {
  'ApiTokenCreate.expiresAt': 'When the token expires. Absent or `null`: never.',
  'ApiTokenCreate.scopes': 'What the token may do. No scope implies another, and they do not change.',
  'ApiTokenRoll.overlapSeconds': 'How long the old secret stays valid, in seconds. 0 ends it at once.',
  'BanCreate.subject': 'Bans this user of the tenant.',
  'BanCreate.tokenId': 'Bans this API token from every route.',
  'BanCreate.until': 'When the ban ends by itself.',
  'ClientTokenCreate.credentialTtl': 'Lifetime of its credentials in seconds: the default and the maximum.',
  'ClientTokenCreate.keyId': 'The TURN key that mints. Absent: the one that the policy chooses.',
  'ClientTokenCreate.origin': 'Binds the token to one web origin that the policy allows. No wildcard.',
  'ClientTokenCreate.subject': 'The user that the token is for, as the tenant names them.',
  'ClientTokenCreate.ttl': 'Lifetime of the token itself, in seconds.',
  'GenerateRequest.customIdentifier': 'The user that the credential is for. Absent: it counts for no user.',
  'IceServersForm.access_token': 'The token, unless it is in the `Authorization` header.',
  'IceServersRequest.access_token': 'The token, unless it is in the `Authorization` header.',
  'IssuerCheck.token': 'The token of a user. It is neither stored nor logged.',
  'RevocationCreate.all': 'Revokes every live credential of the tenant.',
  'RevocationCreate.banUntil': 'Bans the subject too, until then.',
  'RevocationCreate.credentialId': 'Revokes this credential.',
  'RevocationCreate.keyId': 'Revokes what this TURN key minted.',
  'RevocationCreate.subject': 'Revokes the credentials of this user.',
  'SubjectSearch.subject': 'The user, as the tenant names them.',
  'TenantCreate.policy': 'Settings that differ from the defaults.',
  'TenantPatch.policy': 'Settings to change. `null` restores every default.',
  'TenantPatch.status': '`suspended`: nothing new is created. `active`: as usual.',
  'TenantRestore.at': 'The time to go back to, at most 30 days ago.',
  'TurnRestForm.api': 'Ignored: the token is in the header.',
  'TurnRestForm.key': 'Ignored: the token is in the header.',
  'TurnRestForm.service': 'The service that is asked for: `turn`, in any case.',
  'TurnRestForm.username': 'For which user. Absent: the credential counts for no user.',
  'TurnRestRequest.service': 'The service that is asked for: `turn`, in any case.',
  'TurnRestRequest.username': 'For which user. Absent: the credential counts for no user.',
  'TurnKeyImport.key': "The key's secret, as Cloudflare showed it once.",
  'TurnKeyImport.name': 'The new name of the key. Absent: its name at Cloudflare.',
  'TurnKeyImport.uid': 'The uid of the key at Cloudflare.',
  'TurnKeyRotate.revoke': 'Whether the credentials of the old key end at once.',
  'TurnKeyWrite.name': 'The name of the key.',

  allowedOrigins:
    'Web origins whose pages may use the browser door, as browsers send them, `null` included. A `*` may stand for the first label of an https host, or for the host of `moz-extension://*` and `safari-web-extension://*`.',
  acknowledgeWideOrigins: 'Whether `allowedOrigins` may have a wildcard under a domain of two labels.',
  rootKeys: 'Root keys that are configured or needed.',
  requireOrigin: 'Whether requests without an origin are refused, such as those of native apps.',
  defaultTtl: 'Lifetime of a credential in seconds, if none is asked. Not above `maxTtl`.',
  maxTtl: 'The longest lifetime of a credential that the browser door may be asked for, in seconds.',
  maxServerTtl: 'The longest lifetime of a credential that a back end may ask for, in seconds.',
  maxLiveCredentialsPerSubject: 'How many live credentials one user may have.',
  maxLiveCredentials: 'How many live credentials the tenant may have.',
  maxMintsPerMinute: 'How many credentials may be minted in 60 seconds.',
  maxTurnKeys: 'How many TURN keys the tenant may have.',
  maxApiCallsPer5Min: "How many calls of Cloudflare's API the tenant may cause in 5 minutes.",
  reuse: 'Whether a user gets a live credential again instead of a new one.',
  defaultKeyId: 'The TURN key that mints. `null`: the newest active one.',
  urls: 'Which ICE URLs are handed out.',
  transports: 'Which transports to a TURN server are handed out.',
  maxUrls: 'How many URLs at most. `null`: all of them.',
  fallback: 'What a page gets while Cloudflare is out of reach: an error, or STUN alone.',
  issuers: "The tenant's identity providers, whose JWTs the browser door accepts.",
  auditRetentionDays: 'How long the audit trail is kept, in days.',
  auditRetentionRows: 'How many rows the audit trail keeps at most.',
  issuer: 'Must equal the `iss` claim.',
  audience: 'One of these must equal the `aud` claim, or one of its items. This or `client`.',
  client: 'The client that tokens without `aud` are for. This or `audience`.',
  claim: 'The claim that names the client: `azp`, `client_id`, or `iss` for all tokens of the issuer.',
  ignoreAudience: 'Whether tokens that name other audiences are accepted by their `client`.',
  jwksUrl:
    'The https address of the key set. Without it and `jwks` the address comes from the discovery document of the issuer, which is read once.',
  discovered: 'The `jwksUrl` came from the discovery document of the issuer.',
  jwks: 'The key set itself, instead of its address.',
  keys: 'Public keys (RFC 7517).',
  algorithms: 'The signature algorithms that are accepted.',
  subjectClaim: 'The claim that names the user.',
  requiredClaims: 'Top-level claims that must equal this value, or be an array that contains it.',
  requiredClaimPaths: 'Nested claims that must equal a value, or be an array that contains it.',
  path: 'Names from the outermost object inwards.',
  value: 'What the claim must be.',
  maxLifetimeSeconds: 'The longest lifetime of a token in seconds, from `iat` to `exp`.',
  kty: 'The type of the key.',
  kid: 'The id of the key.',
  use: 'What the key is for.',
  alg: 'The algorithm of the key.',
  n: 'The modulus of an RSA key.',
  e: 'The exponent of an RSA key.',
  crv: 'The curve of the key.',
  x: 'The x coordinate, or the public key.',
  y: 'The y coordinate.',

  actor: 'Who asked.',
  all: 'Every live credential of the tenant.',
  credentialId: 'This credential.',
  keyId: 'What this TURN key minted.',
  action: 'What was done.',
  apiTokens: 'How many API tokens.',
  asked: 'How many were asked.',
  at: 'When it happened.',
  begunAt: 'When it began. `null`: it did not.',
  blockedUntil: 'Until when Cloudflare asked to wait. `null`: no block.',
  class: 'Which kind of difference it is.',
  count: 'How many. `null`: not known yet.',
  createdAt: 'When it was created.',
  endedAt: 'When it ended. `null`: it did not.',
  errors: 'What was wrong.',
  expiresAt: 'When it expires. `null`: never.',
  failed: 'How many did not answer.',
  iceServers: 'ICE servers, with a credential for TURN.',
  id: 'The id.',
  issuedAt: 'When it was issued.',
  items: 'The items.',
  limit: 'The limit.',
  listedAt: 'When Cloudflare last listed them. `null`: never.',
  liveCredentials: 'How many live credentials.',
  messages: 'Always empty.',
  modifiedAt: 'When it last changed.',
  name: 'The name.',
  ok: 'Always true.',
  orderedAt: 'When it was ordered. `null`: never.',
  policy: 'The settings of the tenant.',
  region:
    "Where the tenant's storage is created. It cannot be changed. Cloudflare takes it as a hint. `nearest`: near the Account.",
  result: 'The result; `null` in an error.',
  scopes: 'What the token may do.',
  since: 'When it was first found.',
  spent: 'How much of it is spent.',
  state: 'How far it is.',
  status: 'Whether the tenant is active.',
  subjectId: 'The id of the subject. `null`: none.',
  success: 'Whether the call worked.',
  sweep: 'The last look at every TURN key of the account.',
  tenant: 'The tenant.',
  ttl: 'Lifetime in seconds.',
  turnKeys: 'TURN keys.',
  uid: "Cloudflare's id of the TURN key.",
  uris: 'URLs of TURN servers.',
}

/** Puts the words in place. Throws if a field has none. */
export function describeFields(components: Record<string, JsonSchema>): Record<string, JsonSchema> {
  const missing = Object.entries(components).flatMap(([name, schema]) => describe(name, schema))
  if (missing.length > 0) throw new Error(`scripts/openapi/descriptions.ts has no words for ${missing.join(', ')}`)
  return components
}

/** Returns the fields that have no words. */
function describe(component: string, schema: JsonSchema): string[] {
  const ofFields = Object.entries(schema.properties ?? {}).flatMap(([field, property]) => {
    if (typeof property !== 'object') return []
    const words = property.description ?? FIELDS[`${component}.${field}`] ?? FIELDS[field]
    if (words !== undefined) property.description = words
    return [...(words === undefined ? [`${component}.${field}`] : []), ...describe(component, property)]
  })
  const inner = [schema.items, ...(schema.anyOf ?? []), ...(schema.oneOf ?? []), ...(schema.allOf ?? [])].flat()
  return [...ofFields, ...inner.flatMap((each) => (typeof each === 'object' ? describe(component, each) : []))]
}
