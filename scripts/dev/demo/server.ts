// The demo's back end, for `npm run dev` only: serves the page, and gives its visitor a client token, as a tenant's back end
// would: with the tenant's API token, which stays here. On loopback, for requests that name this machine.
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import path from 'node:path'

const HOST = '127.0.0.1'
const LOCAL_HOSTS = /^(127\.0\.0\.1|localhost|\[::1\]):\d+$/
const TOKEN_SECONDS = 120
const CREDENTIAL_SECONDS = 120
const REQUEST_DEADLINE_MS = 10_000

export interface Demo {
  readonly url: string
  close(): Promise<void>
}

export interface DemoOptions {
  readonly port: number
  readonly brokerUrl: string
  readonly tenant: string
  readonly apiToken: string
}

export async function startDemo(options: DemoOptions): Promise<Demo> {
  const server = createServer((request, response) => {
    answer(options, request, response).catch(() => respond(response, 502, 'text/plain', 'The broker did not answer.'))
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port, HOST, resolve)
  })
  return {
    url: `http://${HOST}:${options.port}/demo`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function answer(options: DemoOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (!LOCAL_HOSTS.test(request.headers.host ?? ''))
    return respond(response, 403, 'text/plain', 'On this machine only.')
  const route = `${request.method} ${request.url}`
  if (route === 'GET /') return respond(response, 302, 'text/plain', '', { location: '/demo' })
  if (route === 'GET /demo') return respond(response, 200, 'text/html; charset=utf-8', page(options))
  if (route === 'GET /demo/page.js') return respond(response, 200, 'text/javascript; charset=utf-8', file('page.js'))
  if (route === 'GET /demo/page.css') return respond(response, 200, 'text/css; charset=utf-8', file('page.css'))
  // A custom header: a page of another origin cannot send it without asking, and is not answered when it asks.
  if (route === 'POST /demo/token' && request.headers['x-demo'] === '1') {
    const { status, body } = await clientToken(options)
    return respond(response, status, 'application/json', body)
  }
  respond(response, 404, 'text/plain', 'There is nothing here.')
}

/** What a back end does for a user of its own: the API token never leaves it. */
async function clientToken({ brokerUrl, tenant, apiToken }: DemoOptions): Promise<{ status: number; body: string }> {
  const response = await fetch(`${brokerUrl}/v1/tenants/${tenant}/client-tokens`, {
    method: 'POST',
    headers: { authorization: `Bearer ${apiToken}`, 'content-type': 'application/json' },
    body: JSON.stringify({ subject: 'demo visitor', ttl: TOKEN_SECONDS, credentialTtl: CREDENTIAL_SECONDS }),
    signal: AbortSignal.timeout(REQUEST_DEADLINE_MS),
  })
  return { status: response.status, body: await response.text() }
}

const file = (name: string): string => readFileSync(path.join(import.meta.dirname, name), 'utf8')

function page({ brokerUrl, tenant }: DemoOptions): string {
  return file('page.html').replaceAll('{{broker}}', brokerUrl).replaceAll('{{tenant}}', tenant)
}

function respond(
  response: ServerResponse,
  status: number,
  type: string,
  body: string,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store', ...headers })
  response.end(body)
}
