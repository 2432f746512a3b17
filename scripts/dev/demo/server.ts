// The demo's web server, for `npm run dev` only: serves the page, gives its visitor a client token as a tenant's back end would,
// and carries out what its buttons ask. On loopback, for requests that name this machine and come from its own page.
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import path from 'node:path'
import { installCoturn } from '../coturn.ts'
import { ACTIONS, BackEnd, type BackEndOptions } from './backEnd.ts'

const HOST = '127.0.0.1'
const LOCAL_HOSTS = /^(127\.0\.0\.1|localhost|\[::1\]):\d+$/
const TYPES: Record<string, string> = { js: 'text/javascript; charset=utf-8', css: 'text/css; charset=utf-8' }
const FILES = [
  'page.css',
  'parts.css',
  'page.js',
  'call.js',
  'buttons.js',
  'candidates.js',
  'status.js',
  'view.js',
  'words.js',
]

export interface Demo {
  readonly url: string
  close(): Promise<void>
}

export interface DemoOptions extends BackEndOptions {
  readonly port: number
  /** Whether a TURN server runs beside the emulator. */
  readonly relays: boolean
}

export async function startDemo(options: DemoOptions): Promise<Demo> {
  const backEnd = new BackEnd(options)
  const server = createServer((request, response) => {
    answer({ options, backEnd }, request, response).catch(() =>
      respond(response, { status: 502, type: 'text/plain', body: 'The broker did not answer.' }),
    )
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

interface Parts {
  options: DemoOptions
  backEnd: BackEnd
}

async function answer({ options, backEnd }: Parts, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const say = (status: number, text: string) => respond(response, { status, type: 'text/plain', body: text })
  const json = (status: number, value: object) =>
    respond(response, { status, type: 'application/json', body: JSON.stringify(value) })
  if (!LOCAL_HOSTS.test(request.headers.host ?? '')) return say(403, 'On this machine only.')
  const { method, url = '' } = request
  const name = url.replace(/^\/demo\/?/, '')
  if (method === 'GET' && url === '/') return respond(response, { status: 302, location: '/demo' })
  if (method === 'GET' && url === '/demo')
    return respond(response, { status: 200, type: 'text/html; charset=utf-8', body: page(options) })
  if (method === 'GET' && FILES.includes(name))
    return respond(response, {
      status: 200,
      type: TYPES[path.extname(name).slice(1)] ?? 'text/plain',
      body: file(name),
    })
  // A custom header: a page of another origin cannot send it without asking, and is not answered when it asks.
  if (request.headers['x-demo'] !== '1') return say(404, 'There is nothing here.')
  if (method === 'GET' && name === 'circumstances') return json(200, await backEnd.circumstances())
  if (method === 'POST' && name === 'token') {
    const { status, body } = await backEnd.clientToken()
    return json(status, body)
  }
  const action = ACTIONS.find((each) => each === name)
  if (method === 'POST' && action !== undefined) return json(200, await backEnd.act(action))
  say(404, 'There is nothing here.')
}

const file = (name: string): string => readFileSync(path.join(import.meta.dirname, name), 'utf8')

function page({ brokerUrl, tenant, relays }: DemoOptions): string {
  return file('page.html')
    .replaceAll('{{broker}}', brokerUrl)
    .replaceAll('{{tenant}}', tenant)
    .replaceAll('{{relays}}', relays ? 'yes' : 'no')
    .replaceAll('{{install}}', installCoturn() ?? '')
}

interface Reply {
  status: number
  type?: string
  body?: string
  location?: string
}

function respond(response: ServerResponse, { status, type = 'text/plain', body = '', location }: Reply): void {
  response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store', ...(location ? { location } : {}) })
  response.end(body)
}
