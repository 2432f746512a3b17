/**
 * G19: what the platform writes down while every route is walked: all that wrangler and workerd print, and the local runtime's own
 * store of logs and traces. The store has a row for each invocation whatever `invocation_logs` says, and traces whatever `traces`
 * says. Cloudflare writes neither with the wrangler.toml of this repository, which test/node/docs checks.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ROUTES, type RouteName } from '../../../src/contract/routes.ts'
import { SCOPES } from '../../../src/contract/scopes.ts'
import { type RunningBroker, startBroker } from '../support/runningBroker.ts'

const NAME = `canary-alice-${crypto.randomUUID()}`
const ACCOUNT = '0'.repeat(32)
const APP = 'https://app.example'

interface Row {
  readonly text: string
  /** Written by the platform for an invocation: its method and URL. */
  readonly isInvocation: boolean
}

let broker: RunningBroker
let logs: Row[]
let spans: Record<string, unknown>[]
const usernames: string[] = []
const secrets: string[] = []
const answered = new Map<RouteName, number>()

beforeAll(async () => {
  broker = await startBroker()
  await walkAllRoutes()
  const found = await query<{ message: string }>('SELECT message FROM logs')
  logs = found.map(({ message }) => ({ text: message, isInvocation: /^"(?:[A-Z]+ http|jsrpc)/.test(message) }))
  spans = await query('SELECT name, error, json(attributes) AS attributes FROM spans')
}, 120_000)

afterAll(() => broker?.stop())

/** Asks the store of the local runtime, once the last request of the walk has arrived there. */
async function query<T>(sql: string): Promise<T[]> {
  const url = `${broker.url}/cdn-cgi/explorer/api/local/observability/query`
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ sql }),
  })
  const { result } = (await response.json()) as { result: { columns: string[]; rows: unknown[][] } } // of the pinned wrangler
  return result.rows.map((row) => Object.fromEntries(result.columns.map((name, n) => [name, row[n]])) as T)
}

// biome-ignore lint/suspicious/noExplicitAny: the shape of an answer is that of its route
type Json = any

/** One request; notes what must not be written down of its answer. */
async function ask(
  name: RouteName,
  {
    token,
    query = '',
    body,
    form,
    headers = {},
    ...things
  }: {
    token?: string
    query?: string
    body?: object
    form?: Record<string, string>
    headers?: Record<string, string>
    [thing: string]: unknown
  },
): Promise<Json> {
  const { method, path } = ROUTES[name]
  const at = path.replace(/:([a-z_]+)/g, (_, it: string) => encodeURIComponent(String(things[it] ?? 'acme')))
  const content = body ? JSON.stringify(body) : form ? new URLSearchParams(form) : undefined
  const response = await fetch(broker.url + at + query, {
    method,
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body ? { 'content-type': 'application/json' } : {}),
      ...headers,
    },
    ...(content === undefined ? {} : { body: content }),
  })
  const text = await response.text()
  answered.set(name, response.status)
  for (const [, username = ''] of text.matchAll(/"username":"([0-9a-f]{32,})"/g)) usernames.push(username)
  for (const [, secret = ''] of text.matchAll(/"(?:credential|password|token|key)":"([^"]{20,})"/g))
    secrets.push(secret)
  return /json/.test(response.headers.get('content-type') ?? '') && text !== '' ? JSON.parse(text) : text
}

async function walkAllRoutes(): Promise<void> {
  const { ADMIN_TOKEN: admin, CALLS_API_TOKEN, ROOT_KEYS } = broker.secrets
  secrets.push(admin, CALLS_API_TOKEN, ROOT_KEYS)
  await ask('health', {})
  await ask('ready', {})
  await ask('tenantCreate', { token: admin, body: { id: 'acme', name: 'Acme', region: 'weur' } })
  const scopes = [...SCOPES]
  const { token, id } = await ask('apiTokenCreate', { token: admin, body: { name: 'test', scopes } })
  const { id: token_id } = await ask('apiTokenCreate', { token: admin, body: { name: 'other', scopes } })
  await ask('apiTokenList', { token: admin })
  await ask('tenantPatch', { token: admin, body: { policy: { allowedOrigins: [APP], maxTurnKeys: 9 } } })
  for (const name of [
    'tenantList',
    'tenantGet',
    'accountGet',
    'accountAuditList',
    'resealProgress',
    'tokenCheckGet',
  ] as const)
    await ask(name, { token: admin })

  // A token that would name a user, as an operator tries it.
  const claims = Buffer.from(JSON.stringify({ iss: 'https://id.example', sub: NAME })).toString('base64url')
  const jwt = `${Buffer.from('{"alg":"ES256"}').toString('base64url')}.${claims}.c2lnbmF0dXJl`
  secrets.push(jwt)
  await ask('issuerCheck', { token: admin, body: { token: jwt } })

  const { result } = await ask('turnKeyCreate', { token, body: { name: 'first' } })
  const key_id: string = result.uid
  await ask('turnKeyList', { token })
  await ask('turnKeyGet', { token, key_id })
  await ask('turnKeyUpdate', { token, key_id, body: { name: 'second' } })
  const planted = await broker.emulator.plantKey({ account: ACCOUNT })
  await ask('turnKeyImport', { token: admin, body: { uid: planted.uid, key: planted.key } })
  secrets.push(planted.key)

  await ask('tenantSelf', { token })
  const client = await ask('clientTokenCreate', { token, body: { subject: NAME } })
  await ask('iceServersPreflight', { headers: { origin: APP, 'access-control-request-method': 'POST' } })
  await ask('iceServers', { token: client.token, headers: { origin: APP } })
  await ask('iceServers', { form: { access_token: client.token } })
  await ask('credentialGenerateIceServers', { token, key_id, body: { ttl: 600, customIdentifier: NAME } })
  const generated = await ask('credentialGenerate', { token, key_id, body: { ttl: 600, customIdentifier: NAME } })
  await ask('turnRestCreate', { token, body: { username: NAME } })
  await ask('turnRestCreate', { token, form: { service: 'turn', username: NAME } })
  await ask('turnRest', { token, query: `?service=turn&username=${NAME}` })
  for (const password of [token, 'junk']) {
    const authorization = `Basic ${btoa(`${NAME}:${password}`)}`
    await ask('turnRestCreate', { form: { username: NAME }, headers: { authorization } })
  }
  await ask('turnRestCreate', { token, form: { username: NAME }, query: '?format=link' })
  const { subjectId: subject_id } = await ask('subjectSearch', { token, body: { subject: NAME } })
  await ask('credentialList', { token, query: `?subjectId=${subject_id}` })
  await ask('credentialRevoke', { token, key_id, username: generated.iceServers.username })
  const { id: ban_id } = await ask('banCreate', { token, body: { subject: NAME, until: '2100-01-01T00:00:00Z' } })
  await ask('iceServers', { token: client.token })
  await ask('banList', { token })
  await ask('banLift', { token, ban_id })
  const { id: revocation_id } = await ask('revocationCreate', { token, body: { subject: NAME } })
  await ask('revocationGet', { token, revocation_id })
  await ask('subjectErase', { token, subject_id })
  await ask('auditList', { token, query: `?subjectId=${subject_id}` })
  const rotated = await ask('turnKeyRotate', { token, key_id, body: {} })
  await ask('turnKeyDelete', { token, key_id: rotated.key.uid })
  await ask('apiTokenRoll', { token: admin, token_id, body: { overlapSeconds: 0 } })
  await ask('apiTokenDelete', { token: admin, token_id: id })
  await ask('accountSweep', { token: admin })
  await ask('resealOrder', { token: admin })
  await ask('tokenCheckReplace', { token: admin })
  await ask('tenantRestore', { token: admin, body: {} })
  await ask('tenantDelete', { token: admin, query: '?cascade=true' })
}

const canaries = () => [...new Set([NAME, ...usernames, ...secrets])]
const holding = (texts: readonly string[], canary: string) => texts.filter((text) => text.includes(canary))

describe('G19: the platform, while every route is walked,', () => {
  it('G19: The platform is given requests of every route, and the routes with a user in them succeed', () => {
    const missing = Object.keys(ROUTES).filter((name) => !answered.has(name as RouteName))
    expect(missing).toEqual([])
    const failed = [...answered].filter(([, status]) => status >= 400).map(([name]) => name)
    // Nothing was lost; the ban of the user.
    expect(failed.sort()).toEqual(['iceServers', 'tenantRestore'])
    expect(usernames.length).toBeGreaterThanOrEqual(7)
    expect(new Set(secrets).size).toBeGreaterThanOrEqual(12)
    expect(broker.requests().length).toBeGreaterThanOrEqual(Object.keys(ROUTES).length)
    expect(logs.length).toBeGreaterThan(Object.keys(ROUTES).length)
  })

  it('G19: The platform prints no name of a user, no ICE username and no secret', () => {
    // Wrangler prints a line for each request, with its path: no program of Cloudflare's does.
    const isAccess = (line: string) => /^\[wrangler:info\] [A-Z]+ \//.test(line)
    const lines = broker.output().split('\n')
    for (const canary of canaries()) expect(holding(lines, canary).filter((line) => !isAccess(line))).toEqual([])
    for (const secret of secrets) expect(holding(lines, secret)).toEqual([])
  })

  it('G19: The platform stores no name of a user, no ICE username and no secret with what the Worker logs', () => {
    const own = logs.filter(({ isInvocation }) => !isInvocation).map(({ text }) => text)
    expect(own.length).toBeGreaterThan(Object.keys(ROUTES).length)
    for (const canary of canaries()) expect(holding(own, canary)).toEqual([])
  })

  it('G19: The platform sees a name of a user or an ICE username in the URL of two routes only, and never a secret', () => {
    const urls = logs.filter(({ isInvocation }) => isInvocation).map(({ text }) => text)
    const named = canaries().flatMap((canary) => holding(urls, canary))
    expect(named.map((text) => text.replace(/^"([A-Z]+) .*?\/(turn-rest|revoke)\b.*$/, '$1 $2')).sort()).toEqual([
      'GET turn-rest',
      'POST revoke',
    ])
  })

  it('G19: The platform has in its traces no secret, and a name or username nowhere but in the URLs of those requests', () => {
    const texts = spans.map((span) => JSON.stringify({ ...span, attributes: withoutUrls(span.attributes) }))
    expect(texts.length).toBeGreaterThan(100)
    for (const canary of canaries()) expect(holding(texts, canary)).toEqual([])
    const whole = spans.map((span) => JSON.stringify(span))
    for (const secret of secrets) expect(holding(whole, secret)).toEqual([])
  })
})

function withoutUrls(attributes: unknown): object {
  const all = Object.entries(JSON.parse(String(attributes ?? '{}')) as Record<string, unknown>)
  return Object.fromEntries(all.filter(([name]) => !name.startsWith('url.')))
}
