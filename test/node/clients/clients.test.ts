// The table of real clients: what each sends, byte by byte on a socket, and what the broker answers. Cloudflare's partytracks runs
// as it is published.
import http from 'node:http'
import { gunzipSync } from 'node:zlib'
import { routePartyTracksRequest } from 'partytracks/server'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type RunningBroker, startBroker } from '../support/runningBroker.ts'
import table from './requests.json' with { type: 'json' }

const UID = /^[A-Za-z0-9_-]{32}$/
const DAY_SECONDS = 86_400

interface ClientRequest {
  readonly call: string
  readonly method: string
  readonly path: string
  readonly headers?: Readonly<Record<string, string | undefined>>
  readonly body?: string
}
interface Client {
  readonly client: string
  readonly source: string
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly requests: readonly ClientRequest[]
}

let broker: RunningBroker
let token: string
/** A TURN key that stays. */
let uid: string

beforeAll(async () => {
  broker = await startBroker()
  const scopes = ['turn_keys:read', 'turn_keys:write', 'turn_keys:reveal', 'credentials:issue'] as const
  const policy = { maxTurnKeys: 100, maxApiCallsPer5Min: 600 }
  token = (await broker.newTenant('acme', { scopes: [...scopes], policy })).token
  uid = await newKey()
})
afterAll(() => broker?.stop())

// biome-ignore lint/suspicious/noExplicitAny: the shape of an answer is what tests assert
type Json = any

/** Sends exactly these headers, and Content-Length as the sender counts it. `{…}` in them, the path and the body is filled in. */
function send({ headers }: Client, request: ClientRequest, more: Record<string, string> = {}, key = uid) {
  const { host, port } = new URL(broker.url)
  const fill = (text: string) => text.replaceAll('{token}', token).replaceAll('{uid}', key).replaceAll('{host}', host)
  const body = request.body === undefined ? undefined : fill(request.body)
  const sent = Object.entries({ ...headers, ...request.headers, ...more }).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, fill(value)] as const],
  )
  const length = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }
  const options = { host: '127.0.0.1', port, method: request.method, path: fill(request.path) }
  return new Promise<{ status: number; json: Json }>((resolve, reject) => {
    const asked = http.request({ ...options, headers: { ...Object.fromEntries(sent), ...length } }, (answer) => {
      jsonOf(answer).then((json) => resolve({ status: answer.statusCode ?? 0, json }), reject)
    })
    asked.on('error', reject).end(body)
  })
}

async function jsonOf(answer: http.IncomingMessage): Promise<Json> {
  const bytes = Buffer.concat(await answer.toArray())
  const isZipped = answer.headers['content-encoding'] === 'gzip'
  return JSON.parse((isZipped ? gunzipSync(bytes) : bytes).toString('utf8'))
}

async function newKey(): Promise<string> {
  const response = await fetch(`${broker.url}/client/v4/accounts/acme/calls/turn_keys`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}` },
  })
  expect(response.status).toBe(201)
  return ((await response.json()) as Json).result.uid
}

const lastTtl = async () => {
  const body: Json = (await broker.emulator.log('generate-ice-servers')).at(-1)?.body
  return body.ttl
}
const server = { urls: expect.any(Array), username: expect.any(String), credential: expect.any(String) }
const iceServerList = { iceServers: [{ urls: expect.any(Array) }, server] }
const envelope = (result: unknown) => ({ success: true, errors: [], messages: [], result })
const key = (fields: object) => envelope(expect.objectContaining({ uid: expect.stringMatching(UID), ...fields }))

/** By the name of a call: status and body of the answer. */
const ANSWERS: Record<string, [status: number, body: unknown]> = {
  create: [201, key({ name: 'calls', key: expect.stringMatching(/^.{64}$/) })],
  'create without a name': [201, key({ name: '' })],
  list: [200, envelope(expect.arrayContaining([expect.objectContaining({ uid: expect.stringMatching(UID) })]))],
  get: [200, key({})],
  update: [200, key({ name: 'renamed' })],
  delete: [200, key({})],
  'get with api_key and email': [401, expect.objectContaining({ errors: [expect.objectContaining({ code: 10000 })] })],
  'generate without a body': [201, { iceServers: server }],
  'generate-ice-servers': [201, iceServerList],
  'generate-ice-servers as documented': [201, iceServerList],
  'generate-ice-servers with --data alone': [201, iceServerList],
  'generate-ice-servers with json=': [201, iceServerList],
  'generate-ice-servers with data=': [201, iceServerList],
  'generate-ice-servers with data= and no type': [201, iceServerList],
  'generate-ice-servers without a body': [201, iceServerList],
}

const clients: readonly Client[] = table.clients
const janus = clients.filter(({ client }) => client.startsWith('Janus'))
const rows = clients
  .filter((client) => !janus.includes(client))
  .flatMap((client) => client.requests.map((request) => [client.client, request.call, client, request] as const))

describe('real clients', () => {
  it('The table of real clients has the five majors of the SDK, partytracks, fastrtc, Terraform, cf, curl and Janus', () => {
    const names = clients.map(({ client }) => client).join(' ')
    for (const name of ['3', '4', '5', '6', '7'].map((major) => `cloudflare ${major}.`)) expect(names).toContain(name)
    for (const name of ['partytracks', 'fastrtc', 'Terraform', 'cf CLI', 'curl', 'Janus']) expect(names).toContain(name)
  })

  it.each(rows)('%s: %s is answered as Cloudflare answers it', async (_client, call, client, request) => {
    const [status, body] = ANSWERS[call] ?? []
    const answer = await send(client, request, {}, call === 'delete' ? await newKey() : uid)
    expect(answer).toEqual({ status, json: body })
    if (!call.startsWith('generate')) return
    const asked: { ttl?: number } = JSON.parse(request.body ?? '{}')
    expect(await lastTtl()).toBe(asked.ttl ?? 3_600)
  })

  const credentials = { username: expect.any(String), password: expect.any(String), ttl: expect.any(Number) }
  const minted = { status: 200, json: { ...credentials, uris: expect.any(Array) } }
  const refused = (status: number, code: string) => ({ status, json: expect.objectContaining({ code }) })
  it.each(['turn-rest by its default, POST', 'turn-rest by GET', 'turn-rest with its key'])(
    'Janus: %s is answered when its address holds the API token',
    async (call) => {
      const [client] = janus
      const request = client?.requests.find((each) => each.call === call)
      if (!client || !request) throw new Error(`the table has no ${call}`)
      expect(await send(client, request)).toEqual(refused(401, 'invalid_token'))
      // What libcurl sends for https://janus:{token}@….
      expect(await send(client, request, { Authorization: `Basic ${btoa(`janus:${token}`)}` })).toEqual(minted)
    },
  )

  it('partytracks: its own handler gets ICE servers for a day from the broker in the place of Cloudflare', async () => {
    const answer = await routePartyTracksRequest({
      appId: 'unused',
      token: 'unused',
      realtimeApiBaseUrl: `${broker.url}/v1`,
      turnServerAppId: uid,
      turnServerAppToken: token,
      lockSessionToInitiator: false,
      request: new Request('https://app.example/partytracks/generate-ice-servers'),
    })
    expect({ status: answer.status, json: await answer.json() }).toEqual({ status: 201, json: iceServerList })
    expect(await lastTtl()).toBe(DAY_SECONDS)
  })
})
